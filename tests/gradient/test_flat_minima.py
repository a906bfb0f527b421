"""A²M: the gradient of the loss after one step up, and what it prefers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from archgrad import spaces
from archgrad.context import Clock, Context
from archgrad.errors import ArchgradError
from archgrad.gradient import FirstOrder, FlatMinima, Unrolled
from archgrad.gradient.flat_minima import flat_gradient
from archgrad.method import Method
from archgrad.objective import Descent, Objective

DOUBLE = torch.float64


def quartic(alpha: Tensor) -> Tensor:
    return (alpha**4).sum() / 4


ONE = torch.ones((), dtype=DOUBLE)


def test_quadratic_by_hand() -> None:
    matrix = torch.tensor([[2, 0.5], [0.5, 1]], dtype=DOUBLE)
    alpha = torch.tensor([1.0, -2.0], dtype=DOUBLE)
    found = flat_gradient(lambda a: 0.5 * a @ matrix @ a, alpha, rho=0.1)
    torch.testing.assert_close(found, torch.tensor([1.27, -1.70375], dtype=DOUBLE))
    grown = torch.eye(2, dtype=DOUBLE) + 0.1 * matrix
    torch.testing.assert_close(found, grown @ matrix @ grown @ alpha)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"second_order": "exact"}, 1.7303),
        ({"second_order": "finite-difference", "rho": 1e-2}, 1.061832395188273),
        ({"second_order": "finite-difference", "centre": "alpha"}, 1.730323579476909),
        ({"second_order": "finite-difference"}, 1.814176579476907),
        ({"second_order": "none"}, 1.3310),
    ],
)
def test_quartic_by_hand(options: dict[str, Any], expected: float) -> None:
    """By finite difference the default is the number of the published program, at ε = 0.01."""
    found = flat_gradient(quartic, ONE, **{"rho": 0.1} | options).item()
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("normalise", [False, True])
def test_exact_is_the_derivative_of_the_loss_after_the_ascent(normalise: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    mix = torch.randn(4, 4, dtype=DOUBLE, generator=draw)
    alpha = torch.randn(4, dtype=DOUBLE, generator=draw).requires_grad_()

    def loss(a: Tensor) -> Tensor:
        return torch.tanh(mix @ a).square().sum() + (a**3).sum() / 3

    (g,) = torch.autograd.grad(loss(alpha), alpha, create_graph=True)
    (expected,) = torch.autograd.grad(loss(alpha + 0.2 * (g / g.norm() if normalise else g)), alpha)
    found = flat_gradient(loss, alpha, rho=0.2, normalise=normalise)
    torch.testing.assert_close(found, expected)
    approximate = flat_gradient(
        loss, alpha, rho=0.2, normalise=normalise, second_order="finite-difference", epsilon=1e-5, centre="alpha"
    )
    torch.testing.assert_close(approximate, expected, rtol=1e-6, atol=1e-8)


def test_from_the_ridge_it_descends_into_the_flat_minimum() -> None:
    """Two wells of equal depth, curvature 1 at −2 and 25 at +1, started from the sharp one's side of the ridge.

    A step of 0.05 is stable in both for plain descent (0.05·25 < 2), but F is steeper by (1 + ρ·curvature)², which
    makes the sharp well repel it and leaves the flat one attractive.
    """

    def loss(a: Tensor) -> Tensor:
        wells = torch.stack([-((a + 2) ** 2) / 2, -25 * (a - 1) ** 2 / 2])
        return -0.2 * torch.logsumexp(wells / 0.2, dim=0)

    def descend(rho: float, start: float) -> float:
        alpha = torch.tensor(start, dtype=DOUBLE)
        for _ in range(800):
            alpha = alpha - 0.05 * flat_gradient(loss, alpha, rho=rho)
        return alpha.item()

    for start in (0.49, 0.53, 0.58):
        assert descend(0.0, start) == pytest.approx(1, abs=1e-3)
        assert descend(0.1, start) == pytest.approx(-2, abs=0.05)


def objective() -> Objective:
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=1).supernet(executor="plain").double()
    with torch.no_grad():
        supernet.alphas["cell"].mul_(300)
    draw = torch.Generator().manual_seed(1)

    def part() -> Objective:
        batch = torch.randn(6, 3, 8, 8, dtype=DOUBLE, generator=draw), torch.randint(10, (6,), generator=draw)
        return Method().objective(batch, Context(supernet, Clock()))

    return replace(part(), inner=part(), descent=Descent(0.025))


def direction(rule: Any, at: Objective | None = None) -> Tensor:
    at = at or objective()
    before = at.supernet.alphas["cell"].detach().clone()
    found = rule(at, dict(at.supernet.alphas.items()), at.context)
    assert torch.equal(at.supernet.alphas["cell"], before), "alphas are left as they were"
    gradient: Tensor = found["cell"]
    return gradient


def test_rho_zero_is_the_base_bit_for_bit() -> None:
    for base in (FirstOrder(), Unrolled()):
        assert torch.equal(direction(FlatMinima(0.0, base=base)), direction(base))


def test_on_a_supernet_the_finite_difference_agrees_with_double_backward() -> None:
    exact = direction(FlatMinima(0.5, second_order="exact"))
    found = direction(FlatMinima(0.5, epsilon=1e-3, centre="alpha"))
    first = direction(FlatMinima(0.5, second_order="none"))
    assert (exact - first).norm() > 1e-3 * first.norm(), "the second-order term is there"
    assert (found - exact).norm() <= 1e-5 * exact.norm()


def test_it_wraps_the_unrolled_gradient() -> None:
    base = Unrolled(second_order="exact")
    assert not torch.allclose(direction(FlatMinima(0.5, base=base)), direction(base))


def test_extra_passes_move_statistics_once() -> None:
    once, flat = objective(), objective()
    direction(FirstOrder(), once)
    direction(FlatMinima(0.1), flat)
    pairs = zip(once.supernet.buffers(), flat.supernet.buffers(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_what_cannot_be_computed_is_refused_by_name() -> None:
    with pytest.raises(ArchgradError, match="needs the base FirstOrder, not Unrolled"):
        FlatMinima(second_order="exact", base=Unrolled())
    with pytest.raises(ArchgradError, match="rho"):
        FlatMinima(rho=-1)
    with pytest.raises(ArchgradError, match="centre"):
        FlatMinima(centre="middle")  # type: ignore[arg-type]
