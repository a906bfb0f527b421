"""Noise that pretends to be an operation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Noise(nn.Module):
    """Standard normal numbers of the strided shape, new in every pass and whatever it reads; also in evaluation.

    Numbers come from torch's global generator in the order in which an executor computes: two executors give the same
    operation different noise.

    *Source:* R-DARTS, arXiv 1909.09656, section 4 (space S4).
    """

    def __init__(self, stride: int = 1):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn_like(x[..., :: self.stride, :: self.stride], memory_format=torch.contiguous_format)

    def extra_repr(self) -> str:
        return f"stride={self.stride}"
