"""Operations without arithmetic: nothing, identity, and the identity that halves the map."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.operations.norm import batch_norm


class Zero(nn.Module):
    """``none``: adds nothing. Executors skip it; called by itself it returns zeros of the strided shape."""

    name: ClassVar[str] = "none"

    def __init__(self, stride: int = 1):
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[..., :: self.stride, :: self.stride])


class FactorizedReduce(nn.Module):
    """Halve the map without losing every second pixel: ReLU, two shifted strided 1×1 convolutions side by side, BN.

    A map of odd size is padded by one row and column for the shifted half.

    *Source:* DARTS (1806.09055), published code.
    """

    def __init__(self, channels_in: int, channels_out: int, affine: bool = True, track: bool = True):
        super().__init__()
        self.even = nn.Conv2d(channels_in, channels_out // 2, 1, stride=2, bias=False)
        self.odd = nn.Conv2d(channels_in, channels_out - channels_out // 2, 1, stride=2, bias=False)
        self.norm = batch_norm(channels_out, affine, track)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        height, width = x.shape[-2:]
        shifted = F.pad(x, (0, width % 2, 0, height % 2))[..., 1:, 1:]
        normed: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], dim=1))
        return normed
