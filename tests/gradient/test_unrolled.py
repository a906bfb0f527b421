"""The gradient through a weight step against autograd through that step, written out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from archgrad import ArchgradError, Choice, Supernet, spaces
from archgrad.context import Alphas, Context
from archgrad.gradient import FirstOrder, Unrolled
from archgrad.gradient.unrolled import SecondOrder
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.objective import Descent, Objective
from archgrad.relaxation import Softmax
from archgrad.roles import Regulariser

RATE = 0.3


@dataclass(frozen=True)
class SquaredAlphas(Regulariser):
    """A regulariser with a gradient that is easy to write down."""

    weight: float = 1.0

    def term(self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None) -> Tensor:
        return torch.stack([alpha.square().sum() for alpha in alphas.values()]).sum()


def tiny() -> Supernet:
    torch.manual_seed(0)

    def block() -> Choice:
        return Choice({"linear": nn.Linear(3, 3), "tanh": nn.Sequential(nn.Linear(3, 3), nn.Tanh()),
                       "skip": nn.Identity()}, group="block")  # fmt: skip

    supernet = Supernet(nn.Sequential(block(), nn.Softplus(), block(), nn.Linear(3, 2))).double()
    with torch.no_grad():
        supernet.alphas["block"].copy_(torch.tensor([[0.3, -0.2, 0.5]]))
    return supernet


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(6, 3, generator=generator).double(), torch.randint(2, (6,), generator=generator)


def objective(supernet: Supernet, descent: Descent, *regularisers: Regulariser) -> Objective:
    inner = Method().objective(batch(1), Context(supernet))
    return Method(regularisers=regularisers).objective(batch(2), Context(supernet), inner=inner, descent=descent)


def buffers(supernet: Supernet) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(w.shape, generator=generator).double() for w in supernet.weights()]


DESCENTS = {
    "plain": lambda s: Descent(RATE),
    "weight decay": lambda s: Descent(RATE, weight_decay=0.2),
    "momentum": lambda s: Descent(RATE, 0.9, 0.2, buffers(s)),
    "first step": lambda s: Descent(RATE, 0.9, 0.2, [None for _ in s.weights()]),
}


def brute_force(supernet: Supernet, descent: Descent) -> Tensor:
    """∇_α ℓ_val(ω − ξ·(∇_ω ℓ_train(ω, α) + decay·ω + momentum·buffer), α), by autograd through all of it."""
    alpha = supernet.alphas["block"].detach().clone().requires_grad_()
    mixture = Softmax()({"block": alpha}, supernet.sites)

    def loss(weights: dict[str, Tensor], seed: int) -> Tensor:
        x, y = batch(seed)
        logits = torch.func.functional_call(supernet, weights, (x, mixture))
        return nn.functional.cross_entropy(logits, y)

    weights = {f"network.{n}": w.detach().clone().requires_grad_() for n, w in supernet.network.named_parameters()}
    gradients = torch.autograd.grad(loss(weights, 1), list(weights.values()), create_graph=True)
    moved = descent.buffers or [None] * len(weights)
    ahead = {
        name: w - descent.learning_rate * (g + descent.weight_decay * w + (0 if b is None else descent.momentum * b))
        for (name, w), g, b in zip(weights.items(), gradients, moved, strict=True)
    }
    return torch.autograd.grad(loss(ahead, 2), alpha)[0]


@pytest.mark.parametrize("descent", DESCENTS.values(), ids=DESCENTS)
@pytest.mark.parametrize("second_order", ["exact", "double-backward"])
def test_exact_equals_brute_force(descent, second_order: SecondOrder) -> None:
    supernet = tiny()
    step = descent(supernet)
    found = Unrolled(second_order)(objective(supernet, step), supernet.alphas, Context(supernet))
    expected = brute_force(supernet, step)
    torch.testing.assert_close(found["block"], expected, rtol=1e-10, atol=1e-14)
    first = FirstOrder()(objective(supernet, step), supernet.alphas, Context(supernet))
    assert (first["block"] - expected).norm() > 0.05 * expected.norm()  # the second-order part is not negligible here


@pytest.mark.parametrize("descent", DESCENTS.values(), ids=DESCENTS)
def test_the_finite_difference_tends_to_exact_as_the_square_of_its_radius(descent) -> None:
    supernet = tiny()
    step = descent(supernet)
    exact = brute_force(supernet, step)

    def error(radius: float) -> float:
        found = Unrolled("finite-difference", radius)(objective(supernet, step), supernet.alphas, Context(supernet))
        return (found["block"] - exact).norm().item()

    assert error(1e-2) / error(1e-3) == pytest.approx(100, rel=0.05)
    assert error(1e-4) < 1e-7 * exact.norm().item()


@pytest.mark.parametrize("second_order", ["exact", "double-backward", "finite-difference"])
def test_a_learning_rate_of_zero_leaves_the_first_order(second_order) -> None:
    supernet = tiny()
    step = Descent(0.0, 0.9, 0.2, buffers(supernet))
    found = Unrolled(second_order)(objective(supernet, step), supernet.alphas, Context(supernet))
    first = FirstOrder()(objective(supernet, step), supernet.alphas, Context(supernet))
    torch.testing.assert_close(found["block"], first["block"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("second_order", ["exact", "double-backward", "finite-difference"])
def test_regularisers_add_their_own_gradient_once(second_order) -> None:
    supernet = tiny()
    without, with_them = (
        Unrolled(second_order)(objective(supernet, Descent(RATE), *r), supernet.alphas, Context(supernet))
        for r in ([], [SquaredAlphas()])
    )
    expected = without["block"] + 2 * supernet.alphas["block"].detach()
    torch.testing.assert_close(with_them["block"], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("second_order", ["exact", "double-backward", "finite-difference"])
def test_weights_alphas_and_frozen_weights_are_left_as_they_were(second_order) -> None:
    supernet = spaces.get("nasbench201", channels=4, cells=1).supernet().double()
    supernet.network.stem[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in supernet.named_parameters()}
    x, y = torch.randn(4, 3, 8, 8).double(), torch.arange(4)
    inner = Method().objective((x, y), Context(supernet))
    outer = Method().objective((x + 1, y), Context(supernet), inner=inner, descent=Descent(RATE))
    gradient = Unrolled(second_order)(outer, supernet.alphas, Context(supernet))["cell"]
    assert gradient.shape == (6, 5)
    assert gradient.isfinite().all()
    assert not gradient.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in supernet.named_parameters())
    assert all(p.requires_grad != (n == "network.stem.0.weight") for n, p in supernet.named_parameters())
    assert all(p.grad is None for p in supernet.parameters())


def test_bad_settings_are_refused() -> None:
    with pytest.raises(
        ArchgradError, match="second_order must be one of 'exact', 'double-backward', 'finite-difference', got 'third'"
    ):
        Unrolled("third")
    with pytest.raises(ArchgradError, match="Unrolled: radius must be a number above 0"):
        Unrolled(radius=0)
    supernet = tiny()
    alone = Method().objective(batch(1), Context(supernet))
    with pytest.raises(ArchgradError, match="needs the training batch and the weight optimiser"):
        Unrolled()(alone, supernet.alphas, Context(supernet))
