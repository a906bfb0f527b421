"""An objective may be evaluated any number of times in a step: same numbers, running statistics moved once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from archgrad import Choice, Mixture, Supernet, spaces
from archgrad.context import Alphas, Clock, Context
from archgrad.method import Method
from archgrad.objective import Objective, frozen
from archgrad.relaxation import RandomPath
from archgrad.roles import Modifier, Regulariser


def images(seed: int = 0, count: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 8, 8, generator=generator).double(), torch.arange(count) % 10


def dropout_net() -> Supernet:
    torch.manual_seed(0)

    def block() -> Choice:
        return Choice({"conv": nn.Conv2d(4, 4, 3, padding=1), "drop": nn.Dropout(0.5), "skip": nn.Identity()}, "block")

    parts = [nn.Conv2d(3, 4, 1), block(), nn.BatchNorm2d(4), block(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return Supernet(nn.Sequential(*parts, nn.Linear(4, 10))).double()


def objective(
    supernet: Supernet,
    step: int = 0,
    modifiers: tuple[Modifier, ...] = (),
    regularisers: tuple[Regulariser, ...] = (),
    **options: object,
) -> Objective:
    context = Context(supernet, Clock(step=step, steps=10))
    return Method(modifiers=modifiers, regularisers=regularisers).objective(images(), context, **options)


def state(supernet: Supernet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in supernet.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, b[name]) for name, value in a.items())


def test_only_the_first_evaluation_moves_running_statistics() -> None:
    supernet = dropout_net()
    before, buffers = state(supernet), list(supernet.buffers())
    ell = objective(supernet)
    ell(supernet.alphas)
    after = state(supernet)
    assert not same(before, after)
    assert after["network.2.num_batches_tracked"] == 1
    named = dict(supernet.network.named_parameters())
    ell(supernet.alphas)
    ell.gradient(supernet.alphas)
    ell.weight_gradient(ell.mix(supernet.alphas))
    ell(supernet.alphas, weights={name: 2 * weight for name, weight in named.items()})
    ell.loss(ell.mix(supernet.alphas), inputs=images(1)[0])
    assert same(state(supernet), after)
    assert all(a is b for a, b in zip(buffers, supernet.buffers(), strict=True))


def test_the_first_evaluation_moves_them_whichever_it_is() -> None:
    states = []
    for evaluate in (
        lambda ell, alphas: ell(alphas),
        lambda ell, alphas: ell.gradient(alphas),
        lambda ell, alphas: ell.weight_gradient(ell.mix(alphas)),
    ):
        supernet = dropout_net()
        evaluate(objective(supernet), supernet.alphas)
        states.append(state(supernet))
    assert same(states[0], states[1])
    assert same(states[0], states[2])


def test_running_statistics_come_back_after_an_exception() -> None:
    supernet = dropout_net()
    ell = objective(supernet)
    ell(supernet.alphas)
    after = state(supernet)
    with pytest.raises(ValueError, match="batch_size"):
        ell.loss(ell.mix(supernet.alphas), inputs=images()[0][:3])
    assert same(state(supernet), after)


@pytest.mark.parametrize("training", [True, False])
def test_a_gradient_may_be_taken_after_later_evaluations(training: bool) -> None:
    """In evaluation mode backward reads the running statistics that forward read: nothing may have changed them."""
    supernet = dropout_net().train(training)
    ell = objective(supernet)
    losses = [ell(supernet.alphas) for _ in range(3)]
    found = [torch.autograd.grad(loss, list(supernet.network.parameters())) for loss in losses]
    torch.testing.assert_close(found[0], found[2])


def test_random_numbers_are_replayed_within_a_step_and_new_in_the_next() -> None:
    supernet = dropout_net()
    ell = objective(supernet)
    first = ell(supernet.alphas)
    torch.rand(17)
    assert torch.equal(ell(supernet.alphas), first)
    assert torch.equal(objective(supernet)(supernet.alphas), first)
    assert not torch.equal(objective(supernet, step=1)(supernet.alphas), first)
    assert not torch.equal(objective(supernet, purpose="other")(supernet.alphas), first)


@dataclass(frozen=True)
class Square(Regulariser):
    """Σα² + Σ_{sites} w²."""

    weight: float = 1.0

    def term(self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None) -> Tensor:
        terms = [alphas[g].square().sum() + mixture[g].pow(2).sum() for g in alphas]
        return torch.stack(terms).sum()


@dataclass(frozen=True)
class Sharper(Modifier):
    """w² / Σw²."""

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        squares = {g: w.square() for g, w in mixture.items()}
        return mixture.with_weights({g: s / s.sum(-1, keepdim=True) for g, s in squares.items()})


@pytest.mark.parametrize("name", ["dropout", "nasbench201", "darts"])
@pytest.mark.parametrize(
    "options", [{}, {"regularisers": (Square(),)}, {"regularisers": (Square(), Square()), "modifiers": (Sharper(),)}]
)
def test_the_gradient_equals_autograd_through_everything(name: str, options: dict) -> None:
    if name == "dropout":
        supernet = dropout_net()
    else:
        supernet = spaces.get(name, channels=4, cells=1 if name == "nasbench201" else 3).supernet().double()
    ell = objective(supernet, **options)
    found = ell.gradient(supernet.alphas)
    alphas = list(supernet.alphas.values())
    expected = torch.autograd.grad(ell(supernet.alphas), alphas)
    for gradient, by_autograd in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(gradient, by_autograd, rtol=1e-9, atol=1e-12)
    assert list(found) == list(supernet.alphas)
    assert all(weight.requires_grad and weight.grad is None for weight in supernet.parameters())


def test_site_gradients_are_those_of_the_loss_without_regularisers() -> None:
    supernet = dropout_net()
    ell = objective(supernet, regularisers=(Square(),))
    ell.gradient(supernet.alphas)
    cut = ell.mix(supernet.alphas).leaf()
    (expected,) = torch.autograd.grad(ell.loss(cut), [cut["block"]])
    assert expected.shape == (2, 1, 3)
    torch.testing.assert_close(ell.trace.site_gradients["block"], expected)


def test_the_value_is_loss_plus_regularisers() -> None:
    supernet = dropout_net()
    plain, both = objective(supernet), objective(supernet, regularisers=(Square(), Square()))
    mixture = plain.mix(supernet.alphas)
    penalty = Square()(supernet.alphas, mixture, plain.context)
    torch.testing.assert_close(both(supernet.alphas), plain(supernet.alphas) + 2 * penalty)
    assert plain.penalty(supernet.alphas, mixture, plain) is None


def test_the_first_loss_and_logits_are_remembered_without_regularisers() -> None:
    supernet = dropout_net()
    ell = objective(supernet, regularisers=(Square(),))
    ell.gradient(supernet.alphas)
    expected = objective(supernet).loss(ell.mix(supernet.alphas))
    torch.testing.assert_close(ell.trace.loss, expected.detach())
    assert ell.trace.outputs.shape == (6, 10)
    assert not ell.trace.outputs.requires_grad
    value = ell.trace.loss.clone()
    ell.loss(ell.mix(supernet.alphas), inputs=images(1)[0])
    assert torch.equal(ell.trace.loss, value)


def test_alphas_that_play_no_part_have_gradient_zero() -> None:
    supernet = spaces.get("nasbench201", channels=4, cells=1).supernet().double()
    ell = Method(relaxation=RandomPath()).objective(images(), Context(supernet))
    assert torch.equal(ell.gradient(supernet.alphas)["cell"], torch.zeros(6, 5, dtype=torch.float64))
    assert ell.trace.loss is not None
    with_regulariser = Method(relaxation=RandomPath(), regularisers=(Square(),)).objective(images(), Context(supernet))
    torch.testing.assert_close(with_regulariser.gradient(supernet.alphas)["cell"], 2 * supernet.alphas["cell"].detach())


def test_gradients_are_averaged_over_processes() -> None:
    supernet = dropout_net()
    halved = objective(supernet, averaged=lambda gradients: [g / 2 for g in gradients])
    full = objective(supernet)
    torch.testing.assert_close(2 * halved.gradient(supernet.alphas)["block"], full.gradient(supernet.alphas)["block"])
    mixture = full.mix(supernet.alphas)
    for a, b in zip(halved.weight_gradient(mixture), full.weight_gradient(mixture), strict=True):
        torch.testing.assert_close(2 * a, b)


def test_frozen_gives_back_what_was_trainable() -> None:
    supernet = dropout_net()
    supernet.network[0].requires_grad_(False)
    before = [weight.requires_grad for weight in supernet.network.parameters()]
    with frozen(supernet):
        assert not any(weight.requires_grad for weight in supernet.network.parameters())
        assert supernet.alphas["block"].requires_grad
    assert [weight.requires_grad for weight in supernet.network.parameters()] == before
