"""What the template of relaxations does for a formula: masks, sites, hard samples, checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from archgrad import spaces
from archgrad.context import Clock, Context
from archgrad.errors import ArchgradError
from archgrad.relaxation import Softmax
from archgrad.roles import Now, Relaxation


@dataclass(frozen=True)
class Squared(Relaxation):
    """The example of the documentation."""

    def weights(self, alpha: Tensor, now: Now) -> Tensor:
        return (alpha.sign() * alpha**2).softmax(-1)


@dataclass(frozen=True)
class Everywhere(Relaxation):
    """Knows nothing of masks."""

    def weights(self, alpha: Tensor, now: Now) -> Tensor:
        return torch.full_like(alpha, 0.5)


@dataclass(frozen=True)
class Hardest(Relaxation):
    hard: ClassVar[bool] = True

    def weights(self, alpha: Tensor, now: Now) -> Tensor:
        return alpha.softmax(-1)


@pytest.mark.parametrize("name", ["robust_darts_s1", "robust_darts_s2"])
@pytest.mark.parametrize("relaxation", [Squared(), Everywhere(), Softmax()])
def test_a_candidate_that_an_edge_lacks_gets_no_weight_whatever_the_formula(name: str, relaxation: Relaxation) -> None:
    groups = spaces.get(name).groups
    alphas = {g: torch.randn(group.mask.shape, dtype=torch.float64) for g, group in groups.items()}
    masks = {g: group.mask for g, group in groups.items()}
    mixture = relaxation(alphas, dict.fromkeys(groups, 2), Context(masks=masks))
    for g, group in groups.items():
        assert mixture[g].shape == (2, *group.mask.shape)
        assert not mixture[g][:, ~group.mask].any()
        assert mixture[g][:, group.mask].all()
        if not group.mask.all():
            assert torch.equal(mixture.active[g], group.mask.expand(2, -1, -1))
        if relaxation != Everywhere():
            torch.testing.assert_close(mixture[g].sum(-1), torch.ones(2, len(group.mask), dtype=torch.float64))


def test_a_hard_formula_is_one_hot_with_the_gradient_of_the_soft_one() -> None:
    alpha = torch.tensor([[0.3, 1.2, -0.5]], dtype=torch.float64, requires_grad=True)
    mixture = Hardest()({"g": alpha}, {"g": 2})
    torch.testing.assert_close(mixture["g"].detach(), torch.tensor([[0.0, 1, 0]]).double().expand(2, 1, 3))
    assert mixture.active["g"].tolist() == [[[False, True, False]]] * 2
    direction = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    (found,) = torch.autograd.grad((mixture["g"][0, 0] * direction).sum(), alpha)
    (expected,) = torch.autograd.grad((alpha.softmax(-1)[0] * direction).sum(), alpha)
    torch.testing.assert_close(found, expected)


def test_what_a_formula_must_not_return_is_one_line() -> None:
    @dataclass(frozen=True)
    class Flat(Relaxation):
        def weights(self, alpha: Tensor, now: Now) -> Tensor:
            return alpha.flatten()

    @dataclass(frozen=True)
    class Even(Relaxation):
        def weights(self, alpha: Tensor, now: Now) -> Tensor:
            return (alpha**2).softmax(-1)

    alpha, mask = torch.zeros(2, 3), torch.tensor([[True, True, False], [True, True, True]])
    with pytest.raises(ArchgradError, match=r"Flat: weights of group 'g' must have the shape .* \[2, 3\].* got \[6\]"):
        Flat()({"g": alpha}, {"g": 1})
    with pytest.raises(ArchgradError, match="Even: weights of group 'g' are not finite; its alphas are −∞"):
        Even()({"g": alpha}, {"g": 1}, Context(masks={"g": mask}))
    with pytest.raises(ArchgradError, match="a relaxation needs a formula"):
        Relaxation()({"g": alpha}, {"g": 1})


def test_draws_are_the_same_within_a_step() -> None:
    alpha = torch.zeros(2, 3)
    for per, shape in (("step", (1, 2, 3)), ("site", (4, 2, 3)), ("epoch", (1, 2, 3))):
        first, again, next_step = (
            Now("g", 4, Context(clock=Clock(0, 2, step, 10))).uniform(alpha, per) for step in (3, 3, 4)
        )
        assert first.shape == shape
        assert torch.equal(first, again)
        assert torch.equal(first, next_step) == (per == "epoch")
        assert ((first > 0) & (first < 1)).all()
