"""Operations without arithmetic: nothing, identity, and the identity that halves the map."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.operations.convolution import strided
from archgrad.operations.declaration import Declaration, Shared, is_batch_norm, is_convolution
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
        normed: Tensor = self.norm(torch.cat([strided(self.even, x), strided(self.odd, shifted)], dim=1))
        return normed

    def declare(self) -> Declaration:
        """One pointwise convolution of both halves of the pixels, each of which reaches half of the channels."""
        if not (is_convolution(self.even) and is_convolution(self.odd) and is_batch_norm(self.norm)):
            return Declaration((self,))
        even, odd = self.even.weight.flatten(1), self.odd.weight.flatten(1)
        weight = torch.cat([F.pad(even, (0, odd.shape[1])), F.pad(odd, (even.shape[1], 0))])
        return Declaration((Shared(F.relu), Shared(halves)), weight, self.norm)


def halves(x: Tensor) -> Tensor:
    """The pixels at even places, and those one row and column further, as one map of twice the channels."""
    height, width = x.shape[-2:]
    shifted = F.pad(x, (0, width % 2, 0, height % 2))[..., 1::2, 1::2]
    return torch.cat([x[..., ::2, ::2], shifted], dim=1)
