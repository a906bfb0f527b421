"""Networks small enough to be worked out by hand, and the real data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from archgrad import spaces

SPACE = spaces.get("nasbench201")


@pytest.fixture
def cell() -> Callable[..., nn.Module]:
    """Makes the network of six digits, small unless told otherwise."""

    def make(digits: str, seed: int = 0, **size: int) -> nn.Module:
        torch.manual_seed(seed)
        return replace(SPACE, **{"channels": 4, "cells": 1, **size}).network(SPACE.parse(digits))

    return make


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Eight small images, some of the same class."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, 16, 16, generator=generator), torch.tensor([0, 0, 0, 1, 1, 2, 3, 4])


@pytest.fixture
def perceptron() -> nn.Sequential:
    """Two linear layers with a ReLU between, in double precision."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 5)).double()


@pytest.fixture
def points() -> tuple[Tensor, Tensor]:
    """A batch for it."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 3, 2, 2, generator=generator, dtype=torch.double), torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.fixture
def data(real_data: Callable[[str], Path]) -> Path:
    """The directory of real data."""
    return real_data("robustness").parent
