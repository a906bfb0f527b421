"""Stochastic depth inside settled networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Zero the whole input of an image with probability ``rate`` and scale the others by 1/(1−rate); training only.

    ``rate`` starts at 0 and is raised by the training loop from epoch to epoch.

    *Source:* FractalNet (1605.07648); as used by DARTS (1806.09055).
    """

    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device, dtype=x.dtype) < keep
        return x * mask / keep
