"""Pooling candidates."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.operations.norm import batch_norm


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
        if self.kind == "max":
            x = F.max_pool2d(x, 3, self.stride, padding=1)
        else:
            x = F.avg_pool2d(x, 3, self.stride, padding=1, count_include_pad=False)
        return x if self.norm is None else self.norm(x)

    def extra_repr(self) -> str:
        return f"{self.kind}, stride={self.stride}"
