"""What is not a number does not become one: evaluations, scores and robustness of networks whose outputs are NaN."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from archgrad.data import Dataset
from archgrad.distributed import World
from archgrad.errors import ArchgradError
from archgrad.evaluation import Accumulator, evaluate
from archgrad.nested import any_nan
from archgrad.recipes import quick
from archgrad.robustness import robustness
from archgrad.tasks import Classification
from archgrad.train import train


class Sometimes(nn.Module):
    """A network that gives NaN for dark images."""

    def __init__(self, below: float) -> None:
        super().__init__()
        self.linear, self.below = nn.Linear(64, 10), below

    def forward(self, x: Tensor) -> Tensor:
        outputs = self.linear(x.flatten(1))
        dark = x.flatten(1).mean(1) < self.below
        return torch.where(dark[:, None], torch.nan, outputs)


def test_any_nan_looks_into_structures():
    assert not any_nan((torch.zeros(2), {"a": torch.tensor([1, 2])}))
    assert any_nan((torch.zeros(2), {"a": torch.tensor([1.0, math.nan])}))
    assert not any_nan(torch.tensor(math.inf))
    assert not any_nan(())


@pytest.mark.parametrize("below", [math.inf, 0.0])
def test_evaluations_of_nan_are_nan(digits: Dataset, below: float):
    found = evaluate(Sometimes(below), digits, device="cpu")
    assert math.isnan(found.loss)
    assert all(math.isnan(value) for value in found.metrics.values())
    assert math.isnan(found.merit)
    assert found.count == len(digits.test)
    assert not math.isnan(evaluate(Sometimes(-math.inf), digits, device="cpu").accuracy)


def test_one_batch_of_nan_is_not_averaged_away():
    accumulator = Accumulator(Classification(outputs=2), World.start("cpu"))
    accumulator.add(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    accumulator.add(torch.tensor([[math.nan, 0.0]]), torch.tensor([1]))
    accumulator.add(torch.tensor([[math.inf, 0.0]]), torch.tensor([0]))
    assert math.isnan(accumulator.evaluation().accuracy)


def test_robustness_of_nan_is_refused(digits: Dataset, trained: nn.Module):
    options = {"images": 40, "device": "cpu", "progress": False, "severities": (1,)}
    with pytest.raises(ArchgradError, match="robustness: the network's outputs are NaN for test images"):
        robustness(Sometimes(math.inf), digits, ["fgsm"], [0.1], corruptions=(), **options)

    class Fragile(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            outputs = trained(x)
            return torch.where((x.std((1, 2, 3)) < 0.6)[:, None], torch.nan, outputs)

    with pytest.raises(ArchgradError, match="NaN for images with contrast of severity 5"):
        robustness(Fragile(), digits, [], [], corruptions=["contrast"], **options | {"severities": (5,)})


def test_the_best_epoch_is_one_with_numbers(digits: Dataset):
    class Late(Sometimes):
        """NaN in evaluation until it has been trained for two epochs."""

        epochs = 0

        def train(self, mode: bool = True) -> Late:
            self.epochs += mode and not self.training
            return super().train(mode)

        def forward(self, x: Tensor) -> Tensor:
            outputs = self.linear(x.flatten(1))
            return outputs if self.training or self.epochs > 2 else outputs * math.nan

    network = Late(0.0)
    recipe = replace(quick(), epochs=4, warm_up_epochs=0)
    result = train(network, digits, recipe=recipe, validation=0.2, device="cpu", progress=False)
    values = [record["validation_accuracy"] for record in result.history]
    assert math.isnan(values[0])
    assert not math.isnan(values[-1])
    assert result.epoch == max(range(len(values)), key=lambda epoch: (not math.isnan(values[epoch]), values[epoch]))
