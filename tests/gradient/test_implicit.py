"""The implicit gradient against its closed form on a quadratic bilevel problem."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Mixture, Supernet, spaces
from archgrad.context import Alphas, Context
from archgrad.gradient import FirstOrder, ImplicitGradient, Unrolled
from archgrad.method import Method
from archgrad.objective import Descent, Objective
from archgrad.roles import Relaxation
from archgrad.tasks import Task

DIM, COUNT, DECAY = 4, 40, 0.3


@dataclass(frozen=True)
class Alphas0(Relaxation):
    """The alphas themselves are the weights."""

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        return Mixture({g: alpha.expand(sites[g], -1, -1) for g, alpha in alphas.items()})


class Fixed(nn.Module):
    """x ↦ x² · c with a constant c."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.register_buffer("c", torch.randn(DIM, generator=torch.Generator().manual_seed(seed)).double())

    def forward(self, x: Tensor) -> Tensor:
        return x.square() @ self.c


class Linear(nn.Module):
    """x·ω + Σ_o α_o x²·c_o."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(DIM).double())
        self.choice = Choice({f"c{i}": Fixed(i) for i in range(3)}, group="body")

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.choice(x)


def half_square(output: Tensor, y: Tensor) -> Tensor:
    return 0.5 * (output - y).square().mean()


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(COUNT, DIM, generator=generator).double(), torch.randn(COUNT, generator=generator).double()


def problem(decay: float = 0.0, rate: float = 0.1) -> tuple[Objective, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The objective at ω*(α), and H, ∂²ℓ/∂α∂ω, ∂_α ℓ_val, ∂_ω ℓ_val and the gradient of ℓ_val(ω*(α), α)."""
    net = Linear()
    supernet = Supernet(net)
    supernet.alphas["body"].data = torch.tensor([[0.3, -0.5, 0.8]]).double()
    alpha = supernet.alphas["body"].detach()[0]
    (x, y), (xv, yv) = batch(1), batch(2)
    c = torch.stack([net.choice.candidates[f"c{i}"].c for i in range(3)], 1)
    features, features_v = x.square() @ c, xv.square() @ c
    hessian = x.T @ x / COUNT + decay * torch.eye(DIM).double()
    mixed = features.T @ x / COUNT  # [alphas, weights]
    optimum = torch.linalg.solve(hessian, x.T @ (y - features @ alpha) / COUNT)
    net.weight.data = optimum
    residual = xv @ optimum + features_v @ alpha - yv
    by_alpha, by_weight = features_v.T @ residual / COUNT, xv.T @ residual / COUNT
    total = by_alpha - mixed @ torch.linalg.solve(hessian, by_weight)
    method, options = Method(relaxation=Alphas0()), {"context": Context(supernet), "task": Task(loss=half_square)}
    inner = method.objective((x, y), **options)
    outer = method.objective((xv, yv), inner=inner, descent=Descent(rate, weight_decay=decay), **options)
    return outer, hessian, mixed, by_alpha, by_weight, total


def test_as_published_the_hessian_has_no_weight_decay() -> None:
    """The same data, the same weights: what the optimiser decays them by changes nothing."""
    outer, *_ = problem(0.0)
    assert outer.descent is not None
    decayed = replace(outer, descent=replace(outer.descent, weight_decay=DECAY))
    for decay in (False, True):
        rule = ImplicitGradient(3, 0.1, "exact", decay=decay)
        one, two = (rule(at, at.supernet.alphas, Context())["body"] for at in (outer, decayed))
        assert torch.equal(one, two) is not decay


@pytest.mark.parametrize("second_order", ["hybrid", "exact", "finite-difference"])
@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_it_is_the_partial_sum_of_the_neumann_series(second_order: str, decay: float) -> None:
    outer, hessian, mixed, by_alpha, by_weight, _ = problem(decay)
    for terms, gamma in ((1, 0.2), (2, 0.2), (5, 0.05)):
        total, term = torch.zeros(DIM).double(), by_weight
        for _ in range(terms):
            total, term = total + term, term - gamma * hessian @ term
        expected = by_alpha - gamma * mixed @ total
        rule = ImplicitGradient(terms, gamma, second_order, decay=True)  # type: ignore[arg-type]
        found = rule(outer, outer.supernet.alphas, Context())["body"][0]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_the_error_falls_with_the_terms_to_the_closed_form(decay: float) -> None:
    outer, hessian, *_, total = problem(decay)
    eigenvalues = torch.linalg.eigvalsh(hessian)
    gamma = float(1 / eigenvalues[-1])

    def error(terms: int) -> float:
        found = ImplicitGradient(terms, gamma, "exact", decay=True)(outer, outer.supernet.alphas, Context())["body"][0]
        return float((found - total).norm() / total.norm())

    errors = [error(terms) for terms in (1, 2, 4, 8, 16, 32, 64)]
    assert all(b < a for a, b in itertools.pairwise(errors))
    assert errors[-1] < max(1e-10, 3 * float(1 - gamma * eigenvalues[0]) ** 64)
    assert error(800) < 1e-10


def test_gamma_is_the_learning_rate_unless_given() -> None:
    outer, *_ = problem(rate=0.07)
    alphas = outer.supernet.alphas
    own, given = (ImplicitGradient(3, gamma, "exact")(outer, alphas, Context())["body"] for gamma in (None, 0.07))
    assert torch.equal(own, given)


def supernet() -> Supernet:
    torch.manual_seed(0)
    return spaces.get("nasbench201", channels=4, cells=1).supernet().double()


def objective(net: Supernet, rate: float = 0.05) -> Objective:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(6, 3, 8, 8, generator=generator).double(), torch.arange(6)
    inner = Method().objective((x, y), Context(net))
    return Method().objective((x.flip(0), y), Context(net), inner=inner, descent=Descent(rate))


def test_both_ways_agree_on_a_supernet_and_leave_it_as_it_was() -> None:
    net = supernet()
    net.network.stem[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in net.named_parameters()}
    exact, difference = (
        ImplicitGradient(3, second_order=kind, radius=1e-4)(objective(net), net.alphas, Context(net))["cell"]
        for kind in ("exact", "finite-difference")
    )
    torch.testing.assert_close(exact, difference, rtol=1e-3, atol=1e-5)  # which sees kinks of ReLU
    first = FirstOrder()(objective(net), net.alphas, Context(net))["cell"]
    assert (exact - first).norm() > 1e-3 * first.norm()
    assert all(torch.equal(value, before[name]) for name, value in net.named_parameters())
    assert all(p.grad is None for p in net.parameters())


def test_three_terms_are_those_of_the_published_program() -> None:
    """Its gradient on this supernet: two exact products with H, and a finite difference with r = 0.01 / ‖∂_ω ℓ_val‖.

    With all products exact, or all by finite differences, it would be 53 and 79 % away.
    """
    net = spaces.get("nasbench201", channels=2, cells=1).supernet().double()
    with torch.no_grad():
        for number, weight in enumerate(net.weights()):
            waves = (torch.arange(weight.numel()).double() * 0.7 + number).sin()
            weight.copy_(waves.view(weight.shape) * weight[0].numel() ** -0.5)
        net.alphas["cell"].copy_(torch.arange(30).double().cos().view(6, 5) / 2)
    x, xv = ((torch.arange(768).double() * pace).sin().view(4, 3, 8, 8) for pace in (0.9, 1.1))
    inner = Method().objective((x, torch.tensor([0, 3, 5, 9])), Context(net))
    batch = xv, torch.tensor([1, 2, 5, 7])
    outer = Method().objective(batch, Context(net), inner=inner, descent=Descent(0.025))
    found = ImplicitGradient(3)(outer, net.alphas, Context(net))["cell"]
    published = [-0.01081053397061212, -0.07101339899591956, 0.02024768210407682, 0.06164222592634096]
    assert found[0, :4].tolist() == pytest.approx(published, rel=1e-8)
    assert float(found.norm()) == pytest.approx(0.13066489299039452, rel=1e-9)


def test_one_term_is_unrolled_for_small_rates() -> None:
    """The two differ by where ∂_ω ℓ_val is taken: a difference of second order in the rate."""
    net = supernet()
    first = FirstOrder()(objective(net), net.alphas, Context(net))["cell"]

    def difference(rate: float) -> tuple[float, float]:
        ahead = Unrolled("double-backward")(objective(net, rate), net.alphas, Context(net))["cell"]
        here = ImplicitGradient(1, second_order="exact")(objective(net, rate), net.alphas, Context(net))["cell"]
        return float((ahead - here).norm()), float((here - first).norm())

    assert difference(1e-5)[1] == pytest.approx(10 * difference(1e-6)[1], rel=1e-3)


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="ImplicitGradient: terms must be a number above 0"):
        ImplicitGradient(terms=0)
    with pytest.raises(ArchgradError, match="gamma must be a number above 0"):
        ImplicitGradient(gamma=0)
    with pytest.raises(ArchgradError, match="must be 'hybrid', 'exact' or 'finite-difference', got 'third'"):
        ImplicitGradient(second_order="third")  # type: ignore[arg-type]
    net = supernet()
    alone = Method().objective(objective(net).batch, Context(net))
    with pytest.raises(ArchgradError, match="needs the training batch and the weight optimiser"):
        ImplicitGradient()(alone, net.alphas, Context(net))
