"""Schedules and averages against their closed forms."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from archgrad.optim import Averages, clip, cosine, restore, set_lr


def test_cosine_equals_torchs_schedule():
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.025)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 50, eta_min=0.001)
    for epoch in range(51):
        assert cosine(0.025, 0.001, epoch / 50) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimiser.step()
        schedule.step()


def test_set_lr_reaches_every_group():
    optimiser = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 3.0}], lr=1.0)
    set_lr(optimiser, 0.5)
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.5]


@pytest.mark.parametrize("max_norm", [0.1, 5.0, 1000.0])
def test_clip_equals_torchs(max_norm: float):
    parameters = [torch.zeros(3, 4, requires_grad=True), torch.zeros(5, requires_grad=True)]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * 10
    mine = [parameter.grad.clone() for parameter in parameters]
    norm = clip(mine, max_norm)
    torch.testing.assert_close(clip_grad_norm_(parameters, max_norm), norm)
    for parameter, gradient in zip(parameters, mine, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_averages_weigh_by_count_and_continue_from_a_state():
    averages = Averages()
    assert averages.means() == {}
    averages.add(3, loss=torch.tensor(6.0), accuracy=torch.tensor(3.0))
    copy = Averages()
    copy.restore(averages.state(), torch.device("cpu"))
    for each in (averages, copy):
        each.add(1, loss=torch.tensor(2.0), accuracy=torch.tensor(0.0))
        assert each.means() == {"loss": 2.0, "accuracy": 0.75}


def test_one_non_finite_loss_shows_in_the_mean():
    averages = Averages()
    for value in (1.0, float("inf"), float("-inf"), 2.0):
        averages.add(1, loss=torch.tensor(value))
    assert averages.means()["loss"] != averages.means()["loss"]


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay"])
@pytest.mark.parametrize("value", [1e300, 10**400, float("inf"), float("nan"), "0.1", None])
def test_a_state_whose_numbers_are_none_is_refused(name: str, value: object) -> None:
    weight = torch.zeros(2, requires_grad=True)
    optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    state = optimiser.state_dict()
    state["param_groups"][0][name] = value
    with pytest.raises(ValueError, match=f"the optimiser's {name} is .*, not like"):
        restore(torch.optim.SGD([weight], lr=0.1, momentum=0.9), state)
