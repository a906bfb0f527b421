"""Softmax against its formula, and with masks."""

from __future__ import annotations

import pytest
import torch

from archgrad.context import Context
from archgrad.errors import ArchgradError
from archgrad.relaxation import Softmax

ALPHAS = {"a": torch.tensor([[0.0, 1.0, 3.0], [2.0, 2.0, 2.0]], dtype=torch.float64)}


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_it_is_the_formula_at_every_site(temperature: float) -> None:
    mixture = Softmax(temperature)(ALPHAS, {"a": 4})
    powers = (ALPHAS["a"] / temperature).exp()
    expected = (powers / powers.sum(1, keepdim=True)).expand(4, -1, -1)
    torch.testing.assert_close(mixture["a"], expected, rtol=0, atol=1e-14)
    assert not mixture.active


def test_masked_candidates_get_nothing_and_are_not_computed() -> None:
    mask = torch.tensor([[True, False, True], [True, True, True]])
    mixture = Softmax()(ALPHAS, {"a": 2}, Context(masks={"a": mask}))
    total = 1 + torch.tensor(3.0, dtype=torch.float64).exp()
    torch.testing.assert_close(mixture["a"][1, 0], torch.stack([1 / total, 0 * total, 1 - 1 / total]))
    torch.testing.assert_close(mixture["a"][0, 1], torch.full((3,), 1 / 3, dtype=torch.float64))
    assert torch.equal(mixture.active["a"], mask.expand(2, -1, -1))


def test_gradients_pass_masks_without_nan() -> None:
    alpha = ALPHAS["a"].clone().requires_grad_()
    mask = torch.tensor([[True, False, False], [True, True, False]])
    mixture = Softmax()({"a": alpha}, {"a": 2}, Context(masks={"a": mask}))
    weights = torch.arange(12, dtype=torch.float64).reshape(2, 2, 3)
    (gradient,) = torch.autograd.grad((mixture["a"] * weights).sum(), alpha)
    assert torch.equal(gradient[0], torch.zeros(3, dtype=torch.float64))
    assert gradient[1, 2] == 0
    assert gradient[1, 0] == -gradient[1, 1] != 0


def test_a_full_mask_changes_nothing() -> None:
    full = Softmax()(ALPHAS, {"a": 1}, Context(masks={"a": torch.ones(2, 3, dtype=torch.bool)}))
    assert torch.equal(full["a"], Softmax()(ALPHAS, {"a": 1})["a"])
    assert "a" not in full.active


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ArchgradError, match=r"Softmax: .*temperature must"):
        Softmax(temperature)
