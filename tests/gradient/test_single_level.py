"""The single-level gradient is the base's on the batch of the weight step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from archgrad import spaces
from archgrad.context import Context
from archgrad.errors import ArchgradError
from archgrad.gradient import FirstOrder, SingleLevel
from archgrad.method import Method
from archgrad.objective import Objective


def test_it_looks_at_the_training_batch_only() -> None:
    torch.manual_seed(0)
    supernet = spaces.get("nasbench201", channels=2, cells=1).supernet()
    alphas = dict(supernet.alphas.items())

    def objective() -> Objective:
        batch = torch.randn(4, 3, 8, 8), torch.randint(10, (4,))
        return Method().objective(batch, Context(supernet))

    validation, train = objective(), objective()
    with pytest.raises(ArchgradError, match="training batch"):
        SingleLevel()(validation, alphas, validation.context)
    validation = replace(validation, inner=train)
    found = SingleLevel()(validation, alphas, validation.context)
    assert found is not None
    assert validation.trace.loss is None, "the validation batch is never looked at"
    assert torch.equal(found["cell"], FirstOrder()(train, alphas, train.context)["cell"])
    assert not torch.equal(found["cell"], FirstOrder()(validation, alphas, validation.context)["cell"])
