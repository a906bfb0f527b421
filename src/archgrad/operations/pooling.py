"""Pooling candidates."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.operations.declaration import Declaration, Shared, chain
from archgrad.operations.norm import batch_norm


def max_pool(x: Tensor, stride: int) -> Tensor:
    """The maximum of 3×3 pixels."""
    return F.max_pool2d(x, 3, stride, padding=1)


def average_pool(x: Tensor, stride: int) -> Tensor:
    """The mean of those of 3×3 pixels that are inside the map."""
    return F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)


POOLS: dict[str, Callable[[Tensor, int], Tensor]] = {"max": max_pool, "avg": average_pool}


class Pool(nn.Module):
    """3×3 average or maximum pooling; in DARTS supernets followed by a BN without parameters.

    The average counts real pixels only (no padding).

    *Source:* DARTS (1806.09055), published code: ``norm`` in the supernet, none in the settled network.
    """

    def __init__(self, kind: str, channels: int, stride: int, norm: bool = False, track: bool = True):
        super().__init__()
        self.kind = kind
        self.stride = stride
        self.norm = batch_norm(channels, affine=False, track=track) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = POOLS[self.kind](x, self.stride)
        return x if self.norm is None else self.norm(x)

    def declare(self) -> Declaration:
        """Pooling, which all pools of one state share, and its BN."""
        pooled = Shared(POOLS[self.kind], (self.stride,))
        return chain(pooled) if self.norm is None else chain(pooled, self.norm)

    def extra_repr(self) -> str:
        return f"{self.kind}, stride={self.stride}"
