"""Images and how bright they are, as a user's own data: `planted_regression:brightness`."""

from __future__ import annotations

import torch

from archgrad import data
from archgrad.data import Dataset
from archgrad.tasks import Regression


def brightness() -> Dataset:
    """128 images for training."""
    x = torch.randn(192, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    x = x + torch.linspace(-1, 1, 192)[:, None, None, None]
    y = x.mean((1, 2, 3))
    return data.from_tensors(x[::3].repeat(2, 1, 1, 1), y[::3].repeat(2), x[1::3], y[1::3], task=Regression())
