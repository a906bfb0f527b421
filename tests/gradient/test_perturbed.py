"""SmoothDARTS: the mixture of the weight step is perturbed, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Supernet, data, methods, search, spaces
from archgrad.context import Clock, Context
from archgrad.gradient import LayerAlignment, Perturbed, Plain
from archgrad.gradient.perturbed import _Ball
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.relaxation import Softmax, StraightThroughGumbel

MODES = ("random", "adversarial")


def supernet(name: str = "nasbench201") -> Supernet:
    torch.manual_seed(0)
    net = spaces.get(name, channels=4, cells=1 if name == "nasbench201" else 3).supernet()
    with torch.no_grad():
        for alpha in net.alphas.values():
            alpha.copy_(torch.randn(alpha.shape, generator=torch.Generator().manual_seed(1)))
    return net


def objective(net: Supernet, relaxation: Any = None, seed: int = 0, clock: Clock | None = None) -> Objective:
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randn(16, 3, 8, 8, generator=generator), torch.randint(10, (16,), generator=generator)
    return Method(relaxation=relaxation or Softmax()).objective(batch, Context(net, clock or Clock()))


def moved(rule: Perturbed, ell: Objective, context: Context | None = None) -> Mixture:
    mixture = ell.mix({g: a.detach() for g, a in ell.supernet.alphas.items()})
    return rule.perturbed(ell, mixture, context or Context(ell.supernet))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["nasbench201", "s1"])
@pytest.mark.parametrize("epsilon", [0.03, 0.3, 2.0])
def test_rows_stay_on_the_simplex_of_the_candidates_that_exist(mode: Any, name: str, epsilon: float) -> None:
    name = next(known for known in spaces.SPACES if name in known.lower())
    net = supernet(name)
    ell = objective(net)
    found = moved(Perturbed(mode, epsilon), ell)
    for group, rows in found.items():
        assert (rows >= 0).all()
        torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:-1]), atol=1e-5, rtol=0)
        assert not rows[:, ~net.groups[group].mask].any()
        assert torch.equal(rows, rows[:1].expand(rows.shape)), "all sites alike"
        if mode == "random" or epsilon < 1:  # an ascent from so far away may end below p, which is then kept
            assert (rows - ell.mix(net.alphas)[group]).abs().max() > 0.01


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("start", [True, False])
def test_the_attack_stays_in_the_ball_and_raises_the_loss(epsilon: float, start: bool) -> None:
    net = supernet().eval()  # as the attack sees it
    for seed in range(2):
        ell = objective(net, seed=seed)
        mixture = ell.mix(net.alphas)
        rule = Perturbed("adversarial", epsilon, random_start=start, projection="euclidean")
        found = moved(rule, ell)
        assert (found["cell"] - mixture["cell"]).abs().max() <= epsilon + 1e-6
        assert ell.loss(found) > ell.loss(mixture)
        drawn = moved(Perturbed("random", epsilon), ell)
        assert ell.loss(found) > ell.loss(drawn)


def test_the_attack_depends_on_the_training_batch() -> None:
    """Known error S: a published library attacked fixed random tensors."""
    net = supernet()
    one, two = (moved(Perturbed("adversarial", 0.1, random_start=False), objective(net, seed=s)) for s in (0, 1))
    assert (one["cell"] - two["cell"]).abs().max() > 0.05


def test_the_random_mode_is_the_formula() -> None:
    net = supernet()
    ell, context = objective(net), Context(net, seed=3)
    p = Softmax()(dict(net.alphas.items()), net.sites)["cell"].detach()
    u = torch.rand(6, 5, generator=context.generator("perturbation cell"))
    expected = (p + 0.2 * (2 * u - 1)).clamp(0, 1)
    torch.testing.assert_close(
        moved(Perturbed("random", 0.2), ell, context)["cell"], expected / expected.sum(-1, keepdim=True)
    )


def ball(*row: float, epsilon: float = 0.3) -> _Ball:
    return _Ball.around(torch.tensor([[row]], dtype=torch.float64), torch.ones(1, 1, len(row)).bool(), epsilon)


@pytest.mark.parametrize(
    ("centre", "delta", "expected"),
    [
        ((0.97, 0.01, 0.01, 0.01), (0.3, -0.3, 0.2, -0.1), (0.826446, 0.0, 0.173554, 0.0)),
        ((0.4, 0.3, 0.2, 0.1), (0.05, -0.05, 0.1, -0.2), (0.45, 0.25, 0.3, 0.0)),
        ((0.4, 0.3, 0.2, 0.1), (-0.5, -0.4, -0.2, -0.2), (0.0, 0.0, 1.0, 0.0)),
    ],
)
def test_rows_are_clamped_and_rescaled_as_published(centre: Any, delta: Any, expected: Any) -> None:
    found = ball(*centre).rescaled(torch.tensor([[centre]], dtype=torch.float64) + torch.tensor(delta))
    np.testing.assert_allclose(found[0, 0], expected, atol=5e-7)


@pytest.mark.parametrize(
    ("centre", "slopes", "epsilon", "projection", "expected"),
    [
        ((0.4, 0.3, 0.2, 0.1), (1.0, -1.0, 0.5, 0.0), 0.03, "rescale", (0.418117, 0.265363, 0.22605, 0.09047)),
        ((0.4, 0.3, 0.2, 0.1), (1.0, -1.0, 0.5, 0.0), 0.3, "rescale", (0.526336, 0.0, 0.431175, 0.042489)),
        ((0.97, 0.01, 0.01, 0.01), (-1.0, 1.0, 0.5, 0.2), 0.03, "rescale", (0.886792, *[0.037736] * 3)),
        ((0.97, 0.01, 0.01, 0.01), (-1.0, 1.0, 0.5, 0.2), 0.3, "rescale", (0.455543, *[0.181486] * 3)),
        ((0.4, 0.3, 0.2, 0.1), (1.0, -1.0, 0.5, 0.0), 0.03, "euclidean", (0.43, 0.27, 0.23, 0.07)),
    ],
)
def test_the_ascent_ends_where_the_published_program_ends(
    centre: Any, slopes: Any, epsilon: float, projection: Any, expected: Any
) -> None:
    """For the loss Σ c p + ½ Σ |c| p², the numbers of the published program."""
    c = torch.tensor(slopes, dtype=torch.float64)
    rule = Perturbed("adversarial", projection=projection)
    found = rule.climb(
        lambda point: (c * point["a"] + c.abs() * point["a"] ** 2 / 2).sum(),
        {"a": ball(*centre, epsilon=epsilon)},
        None,
        epsilon,
    )
    np.testing.assert_allclose(found["a"][0, 0], expected, atol=5e-7)


def test_the_attack_sees_running_statistics_and_leaves_the_modes() -> None:
    net = supernet()
    net.network.stem.eval()
    seen = set()
    norm = next(m for m in net.network.stages.modules() if isinstance(m, nn.BatchNorm2d))
    norm.register_forward_hook(lambda module, *_: seen.add(module.training))
    modes = [module.training for module in net.modules()]
    moved(Perturbed("adversarial"), objective(net))
    assert seen == {False}
    assert [module.training for module in net.modules()] == modes


@pytest.mark.parametrize("mode", MODES)
def test_alphas_are_not_touched_and_probabilities_not_logits_are_moved(mode: Any) -> None:
    """Known error S: logits were noised by ±0.3, clamped to [0, 1], normalised, and kept."""
    net = supernet()
    with torch.no_grad():
        net.alphas["cell"].copy_(torch.tensor([8.0, 0, 0, 0, 0]).expand(6, 5))
    before = {name: alpha.detach().clone() for name, alpha in net.alphas.items()}
    ell = objective(net)
    found = moved(Perturbed(mode, 0.03), ell)["cell"]
    assert found[..., 0].min() > 0.85, "the winner of these alphas has p > 0.99, and ε is 0.03"
    Perturbed(mode)(ell, net.alphas, Context(net))
    assert all(torch.equal(alpha, before[name]) for name, alpha in net.alphas.items())
    torch.testing.assert_close(ell.mix(net.alphas)["cell"][0], net.alphas["cell"].softmax(-1))


def untrained(mode: str) -> np.ndarray:
    """Alphas of a search whose weights cannot move."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(48, 4, generator=generator), torch.arange(48) % 2
    dataset = data.from_tensors(x, y, x[:8], y[:8], name="points")
    rule = Plain() if mode == "plain" else Perturbed(mode)  # type: ignore[arg-type]
    still = replace(methods.darts().weight_optimiser, lr=1e-12, lr_min=0.0)
    method = replace(methods.darts(), weight_gradient=rule, epochs=2, batch_size=8, weight_optimiser=still)
    torch.manual_seed(0)
    block = Choice({"linear": nn.Linear(4, 4), "tanh": nn.Tanh(), "skip": nn.Identity()}, group="block")
    found = search(nn.Sequential(block, nn.Linear(4, 2)), method, dataset, device="cpu", progress=False)
    return found.alphas["block"]


def test_the_alpha_step_knows_nothing_of_it() -> None:
    """Known error S: alphas became a random walk. Where weights rest, alphas move as without any perturbation."""
    plain = untrained("plain")
    for mode in MODES:
        np.testing.assert_allclose(untrained(mode), plain, atol=1e-7)


def test_epsilon_follows_the_epochs() -> None:
    net = supernet()
    sizes = []
    for epoch in (0, 5):
        ell = objective(net)
        mixture = ell.mix(net.alphas)["cell"]
        found = moved(Perturbed("adversarial", projection="euclidean"), ell, Context(net, Clock(epoch, 10)))["cell"]
        sizes.append(float((found - mixture).detach().abs().max()))
    assert sizes == pytest.approx([0.03, 0.165], abs=1e-4)
    assert moved(Perturbed(epsilon=0.0), ell) is not None


def test_a_gradient_without_perturbation_is_that_of_the_base() -> None:
    net = supernet()
    expected = Plain()(objective(net), net.alphas, Context(net))
    found = Perturbed(epsilon=0.0)(objective(net), net.alphas, Context(net))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_is_that_at_the_perturbed_mixture(mode: Any) -> None:
    net, again = supernet(), supernet()
    rule = Perturbed(mode, 0.2)
    expected = objective(again).weight_gradient(moved(rule, objective(again)))
    ell = objective(net)
    found = rule(ell, net.alphas, Context(net))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)
    again = supernet()
    assert ell.trace.loss == objective(again).loss(moved(rule, objective(again)))


@pytest.mark.parametrize("mode", MODES)
def test_it_wraps_layer_alignment(mode: Any) -> None:
    net = supernet()
    clock = Clock(1, 2)
    context = Context(net, clock)
    rule = Perturbed(mode, 0.2, base=LayerAlignment(strength=5.0))
    found = rule(objective(net, clock=clock), net.alphas, context)
    mixture = moved(Perturbed(mode, 0.2), objective(net, clock=clock), context)
    plain = objective(net, clock=clock).weight_gradient(mixture)
    assert max(float((a - b).abs().max()) for a, b in zip(found, plain, strict=True)) > 1e-4
    assert all(g.isfinite().all() for g in found)


@pytest.mark.parametrize("mode", MODES)
def test_running_statistics_move_once_by_the_perturbed_pass(mode: Any) -> None:
    nets = supernet(), supernet()
    rule = Perturbed(mode, 0.3)
    rule(objective(nets[0]), nets[0].alphas, Context(nets[0]))
    mixture = moved(rule, objective(supernet()))
    objective(nets[1]).loss(mixture)
    for a, b in zip(nets[0].buffers(), nets[1].buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_sampled_operation_keeps_its_weight() -> None:
    net = supernet()
    ell = objective(net, StraightThroughGumbel())
    before = ell.mix(net.alphas)
    for mode in MODES:
        found = moved(Perturbed(mode, 0.3), ell)
        torch.testing.assert_close(found["cell"], before["cell"])
        assert torch.equal(found.active["cell"], before.active["cell"])


@pytest.mark.parametrize("mode", MODES)
def test_once_per_epoch(mode: Any) -> None:
    net = supernet()
    rule, memory = Perturbed(mode, 0.2, per="epoch"), dict[str, Any]()

    def at(epoch: int, step: int) -> Tensor:
        return moved(rule, objective(net, seed=step), Context(net, Clock(epoch, 5, step, 9), memory=memory))["cell"]

    first = at(0, 0)
    torch.testing.assert_close(at(0, 3), first)
    assert not torch.allclose(at(1, 0), first)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="mode must be 'random' or 'adversarial'"):
        Perturbed("loud")  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="epsilon must not be negative"):
        Perturbed(epsilon=-0.1)
    with pytest.raises(ArchgradError, match="projection must be 'rescale' or 'euclidean'"):
        Perturbed(projection="simplex")  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="per must be 'step' or 'epoch'"):
        Perturbed(per="site")  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="steps must be a number above 0"):
        Perturbed(steps=0)
