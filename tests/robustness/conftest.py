"""A tiny network trained on digits, the same for all tests of this folder."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archgrad import data
from archgrad.recipes import quick
from archgrad.train import train


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture(scope="session")
def trained(digits: data.Dataset) -> nn.Module:
    recipe = replace(quick(), epochs=4)
    return train(network(), digits, recipe=recipe, device="cpu", progress=False).network.eval()
