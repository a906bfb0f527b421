"""Λ-DARTS: the alignment of the cells, its gradient, and the weight step that raises it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from archgrad import spaces
from archgrad.context import Clock, Context
from archgrad.errors import ArchgradError
from archgrad.gradient import LayerAlignment, Plain
from archgrad.gradient.layer_alignment import KINDS, Kind, alignment, alignment_gradient
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.supernet import Supernet

DOUBLE = torch.float64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sites", [2, 3, 6])
def test_closed_form_equals_autograd_and_is_orthogonal(kind: Kind, sites: int) -> None:
    g = torch.randn(sites, 12, dtype=DOUBLE, generator=torch.Generator().manual_seed(sites)).requires_grad_()
    (expected,) = torch.autograd.grad(alignment(g, kind), g)
    delta = alignment_gradient(g.detach(), kind)
    torch.testing.assert_close(delta, expected, rtol=1e-12, atol=1e-12)
    assert (delta * g.detach()).sum(1).abs().max() < 1e-12


def test_hand_computed_cases() -> None:
    root = 1 / math.sqrt(2)
    g = torch.tensor([[1, 0], [root, root]], dtype=DOUBLE)
    torch.testing.assert_close(alignment(g), torch.tensor(root, dtype=DOUBLE))
    expected = torch.tensor([[0, root], [0.5, -0.5]], dtype=DOUBLE)
    torch.testing.assert_close(alignment_gradient(g), expected)
    opposite = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], dtype=DOUBLE)
    for kind in KINDS:
        torch.testing.assert_close(alignment(opposite, kind), torch.tensor(-1.0, dtype=DOUBLE))
        assert alignment_gradient(opposite, kind).abs().max() < 1e-12
        equal = torch.tensor([[1.0, -2.0]] * 3, dtype=DOUBLE)
        torch.testing.assert_close(alignment(equal, kind), torch.tensor(1.0, dtype=DOUBLE))
        assert alignment_gradient(equal, kind).abs().max() < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_vanishing_gradients_and_a_single_site_are_harmless(kind: Kind) -> None:
    g = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    assert torch.isfinite(alignment(g, kind))
    assert torch.isfinite(alignment_gradient(g, kind)).all()
    assert alignment(g[:1], kind) == 1
    assert not alignment_gradient(g[:1], kind).any()
    assert alignment(torch.zeros(3, 2), kind) == 0


def objective(epoch: int = 1, epochs: int = 2, cells: int = 1) -> Objective:
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=cells).supernet(executor="plain").double()
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(6, 3, 8, 8, dtype=DOUBLE, generator=draw)
    y = torch.randint(10, (6,), generator=draw)
    with torch.no_grad():
        supernet.alphas["cell"].mul_(300)
    return Method().objective((x, y), Context(supernet, Clock(epoch, epochs)))


def step(rule: LayerAlignment, at: Objective) -> list[Tensor]:
    return rule(at, dict(at.supernet.alphas.items()), at.context)


@pytest.mark.parametrize("kind", KINDS)
def test_finite_difference_agrees_with_double_backward(kind: Kind) -> None:
    plain = Plain()(objective(), dict(objective().supernet.alphas.items()), Context())
    exact = step(LayerAlignment(strength=1.0, kind=kind, exact=True), objective())
    errors = []
    for epsilon in (1e-2, 1e-4):
        found = step(LayerAlignment(strength=1.0, kind=kind, epsilon=epsilon), objective())
        difference = torch.cat([(a - b).flatten() for a, b in zip(found, exact, strict=True)]).norm()
        errors.append(
            float(difference / torch.cat([(a - b).flatten() for a, b in zip(exact, plain, strict=True)]).norm())
        )
    assert errors[1] < 1e-5
    assert errors[1] < errors[0]


def test_zero_strength_is_the_base_bit_for_bit() -> None:
    base = Plain()(objective(), dict(objective().supernet.alphas.items()), Context())
    for rule in (LayerAlignment(strength=0.0), LayerAlignment(strength=1.0)):
        at = objective(epoch=0)  # λ_t starts at 0
        assert all(torch.equal(a, b) for a, b in zip(step(rule, at), base, strict=True))


def test_strength_rises_linearly_with_the_epoch() -> None:
    base = step(LayerAlignment(strength=0.0), objective())
    quarter = step(LayerAlignment(strength=1.0, exact=True), objective(epoch=1, epochs=5))
    full = step(LayerAlignment(strength=1.0, exact=True), objective(epoch=4, epochs=5))
    for b, q, f in zip(base, quarter, full, strict=True):
        torch.testing.assert_close(q - b, (f - b) / 4, rtol=1e-9, atol=1e-12)


def test_a_step_with_large_strength_raises_the_alignment() -> None:
    at = objective()
    alphas = dict(at.supernet.alphas.items())

    def measured() -> float:
        fresh = at.observer()
        fresh.gradient(alphas)
        return float(alignment(fresh.trace.site_gradients["cell"].flatten(1)))

    before = measured()
    gradients = step(LayerAlignment(strength=100.0, exact=True), at)
    with torch.no_grad():
        scale = 1e-2 / torch.cat([g.flatten() for g in gradients]).norm()
        for weight, gradient in zip(at.weights, gradients, strict=True):
            weight -= scale * gradient
    assert measured() > before


def test_one_perturbation_per_site_with_one_joint_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    at, seen = objective(cells=2), []
    original: Callable[..., Tensor] = Supernet.forward

    def record(self: Supernet, x: Tensor, mixture: Mixture) -> Tensor:
        seen.append(mixture["cell"].detach().clone())
        return original(self, x, mixture)

    monkeypatch.setattr(Supernet, "forward", record)
    step(LayerAlignment(strength=1.0, epsilon=1e-3), at)
    clean, up, down = seen
    delta = alignment_gradient(at.trace.site_gradients["cell"].flatten(1))
    assert clean.shape == (6, 6, 5)
    for moved, sign in ((up, 1), (down, -1)):
        assert (moved - clean).norm().item() == pytest.approx(1e-3, rel=1e-9)
        parallel = torch.cosine_similarity((moved - clean).flatten(1), sign * delta, dim=1)
        torch.testing.assert_close(parallel, torch.ones(6, dtype=DOUBLE))


def test_extra_passes_move_statistics_once() -> None:
    once, aligned = objective(), objective()
    Plain()(once, dict(once.supernet.alphas.items()), Context())
    step(LayerAlignment(strength=1.0), aligned)
    pairs = zip(once.supernet.buffers(), aligned.supernet.buffers(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_bad_settings_are_refused_by_name() -> None:
    with pytest.raises(ArchgradError, match="epsilon"):
        LayerAlignment(epsilon=0)
    with pytest.raises(ArchgradError, match="strength"):
        LayerAlignment(strength=-1)
    with pytest.raises(ArchgradError, match="no group 'normal'"):
        step(LayerAlignment(groups=("normal",)), objective())
    with pytest.raises(ArchgradError, match=r"\[sites, d\]"):
        alignment(torch.zeros(3))
