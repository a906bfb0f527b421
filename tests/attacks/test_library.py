"""Attacks of other libraries: bounds in pixels, a network left as it was, and one line where a library is missing."""

from __future__ import annotations

import importlib
import sys
import types

import pytest
import torch
from torch import nn

from archgrad import data
from archgrad.errors import ArchgradError
from archgrad.robustness import PGD, AutoAttack, CarliniWagner, DeepFool, Victim


def _has(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


needs_libraries = pytest.mark.skipif(
    not (_has("foolbox") and _has("pyautoattack")), reason="the extra robust is not installed"
)


def batch(digits: data.Dataset, count: int = 16):
    x, y = next(data.Batches(digits.test, count).epoch())
    return x, y


@needs_libraries
@pytest.mark.parametrize(
    "attack", [AutoAttack(0.1, queries=20), DeepFool(0.3), CarliniWagner(2.0, steps=50, searches=3)]
)
def test_results_are_images_within_the_radius_and_leave_no_trace(attack, trained: nn.Module, digits: data.Dataset):
    x, y = batch(digits)
    victim = Victim.of(trained, digits)
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    state = torch.get_rng_state()
    trained.train()
    try:
        found = attack(victim, x, y)
        assert trained.training
    finally:
        trained.eval()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert all(weight.requires_grad for weight in trained.parameters())
    assert (victim.distance(found, x, attack.norm) <= attack.epsilon + 1e-6).all()
    pixels = found * digits.std[0] + digits.mean[0]
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6
    assert (victim.margin(found, y) > 0).sum() > (victim.margin(x, y) > 0).sum()
    changed = (found != x).flatten(1).any(1)
    if not isinstance(attack, AutoAttack):
        assert (victim.margin(found, y)[changed] >= 0).all(), "a smallest perturbation fools, or there is none"
    assert torch.equal(found, attack(victim, x, y))


@pytest.mark.slow
@needs_libraries
def test_autoattack_is_at_least_as_strong_as_pgd(trained: nn.Module, digits: data.Dataset):
    x, y = batch(digits, 24)
    victim = Victim.of(trained, digits)

    def left(attack) -> int:
        return int((victim.margin(attack(victim, x, y), y) < 0).sum())

    assert left(AutoAttack(0.08, queries=20)) <= left(PGD(0.08, steps=20))


@needs_libraries
def test_with_few_classes_autoattack_leaves_out_what_is_not_defined():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    x = torch.rand(8, 3, 2, 2)
    y = model(x).argmax(1)
    found = AutoAttack(0.5, queries=20)(Victim(model), x, y)
    assert (found - x).abs().max() <= 0.5 + 1e-6
    assert (Victim(model).margin(found, y) > 0).any()


@needs_libraries
@pytest.mark.parametrize("attack", [AutoAttack(0.3, queries=5), DeepFool(1.0), CarliniWagner(9.0, steps=50)])
def test_images_and_networks_stored_channels_last_are_attacked_alike(attack):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 10))
    x = torch.rand(4, 3, 10, 10)
    y = model(x).argmax(1)
    found = attack(Victim(model), x, y)
    last = Victim(model.to(memory_format=torch.channels_last))
    last = attack(last, x.contiguous(memory_format=torch.channels_last), y)
    torch.testing.assert_close(found, last, rtol=0, atol=0.02)
    assert (found != x).any()


@needs_libraries
def test_deepfool_finds_the_distance_to_the_plane_of_a_linear_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double().eval()
    x = 0.3 + 0.4 * torch.rand(8, 3, 2, 2, dtype=torch.float64)
    y = model(x).argmax(1)
    victim, weight = Victim(model), model[1].weight.detach()
    exact = -victim.margin(x, y) / (weight[1] - weight[0]).abs().sum()
    found = DeepFool(1.0).unbounded(victim, x, y)
    inside = exact < 0.25  # where the range of pixels does not stand in the way
    assert inside.any()
    size = victim.distance(found, x, "linf")
    torch.testing.assert_close(size[inside], 1.02 * exact[inside], rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("attack", "name"), [(AutoAttack(), "pyautoattack"), (DeepFool(), "foolbox"), (CarliniWagner(), "foolbox")]
)
def test_without_the_library_it_is_one_line(attack, name: str, trained: nn.Module, digits: data.Dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    x, y = batch(digits, 4)
    with pytest.raises(ArchgradError, match=rf"{type(attack).__name__} needs {name}.*pip install 'archgrad\[robust\]'"):
        attack(Victim.of(trained, digits), x, y)
    assert all(weight.requires_grad for weight in trained.parameters())


@pytest.mark.parametrize(
    ("classes", "attacks", "targets"),
    [(10, ("apgd-ce", "apgd-t", "fab-t", "square"), 9), (5, ("apgd-ce", "apgd-t", "fab-t", "square"), 4)],
)
def test_autoattack_has_the_settings_of_its_standard_version(
    classes: int, attacks: tuple[str, ...], targets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`set_version("standard")`: four attacks, one restart, nine targets or as many as there are, 5000 queries."""
    made: list[types.SimpleNamespace] = []

    class Recorded(types.SimpleNamespace):
        def __init__(self, network: nn.Module, **settings: object) -> None:
            parts = {name: types.SimpleNamespace() for name in ("apgd", "apgd_targeted", "fab", "square")}
            super().__init__(network=network, settings=settings, **parts)
            made.append(self)

        def run_standard_evaluation(self, x: torch.Tensor, y: torch.Tensor, batch_size: int):
            return x, y

    monkeypatch.setitem(sys.modules, "pyautoattack", types.SimpleNamespace(AutoAttack=Recorded))
    victim = Victim(nn.Sequential(nn.Flatten(), nn.Linear(12, classes)).eval())
    x = torch.rand(2, 3, 2, 2)
    assert torch.equal(AutoAttack(8 / 255)(victim, x, torch.tensor([0, 1])), x)
    (attack,) = made
    assert tuple(attack.settings["attacks"]) == attacks
    assert attack.settings["eps"] == 8 / 255
    assert {attack.apgd.n_restarts, attack.apgd_targeted.n_restarts, attack.fab.n_restarts} == {1}
    assert {attack.apgd_targeted.n_target_classes, attack.fab.n_target_classes} == {targets}
    assert attack.square.n_queries == 5000


def test_unknown_parts_of_autoattack_are_one_line():
    with pytest.raises(ArchgradError, match="unknown attack of AutoAttack 'apgd-c': did you mean 'apgd-ce'"):
        AutoAttack(attacks=("apgd-c",))
    with pytest.raises(ArchgradError, match="at least one attack"):
        AutoAttack(attacks=())
