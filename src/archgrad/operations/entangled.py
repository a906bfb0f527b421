"""Convolutions whose kernels are parts of one another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.operations.low_rank import LowRankConv

KernelSize = tuple[int, int]


class Sliced(nn.Module):
    """The convolution with the centre of another one's kernel; it has no weight of its own."""

    def __init__(self, whole: nn.Conv2d, size: KernelSize):
        super().__init__()
        self.whole = whole
        self.size = size

    @property
    def weight(self) -> Float[Tensor, "out reads height width"]:
        """A view of the other one's weight."""
        return centre(self.whole.weight, self.size)

    def forward(self, x: Tensor) -> Tensor:
        return _convolved(self.whole, x, self.size)

    def settled(self) -> nn.Conv2d:
        """The plain convolution that computes the same."""
        whole = self.whole
        kernel = whole.weight + whole.change if isinstance(whole, LowRankConv) else whole.weight
        conv = nn.Conv2d(
            whole.in_channels,
            whole.out_channels,
            self.size,
            whole.stride,  # type: ignore[arg-type]
            padding_of(whole, self.size),
            whole.dilation,  # type: ignore[arg-type]
            whole.groups,
            bias=False,
            device="meta",
        )
        conv.weight = nn.Parameter(centre(kernel, self.size).detach().clone())
        return conv.train(self.training)


class MixedConv(nn.Module):
    """The convolution with the kernel Σ_o share_o · (the centre of size_o), for one pass."""

    def __init__(self, whole: nn.Conv2d, sizes: Sequence[KernelSize], shares: Float[Tensor, " members"]):
        super().__init__()
        self.whole = whole
        self.sizes = tuple(sizes)
        self.shares = shares

    def forward(self, x: Tensor) -> Tensor:
        covered = _covered(self.sizes, self.shares.device).to(self.shares.dtype)
        mask = torch.einsum("o,ohw->hw", self.shares, covered)
        return _convolved(self.whole, x, _bounds(self.sizes), mask.to(self.whole.weight.dtype))


def centre(kernel: Tensor, size: KernelSize) -> Tensor:
    """The middle of a kernel, as a view of it."""
    above, left = ((whole - part) // 2 for whole, part in zip(kernel.shape[-2:], size, strict=True))
    return kernel[..., above : above + size[0], left : left + size[1]]


def padding_of(conv: nn.Conv2d, size: KernelSize) -> KernelSize:
    """What keeps the map's size when the kernel has another one."""
    return conv.dilation[0] * (size[0] // 2), conv.dilation[1] * (size[1] // 2)


def _convolved(whole: nn.Conv2d, x: Tensor, size: KernelSize, mask: Tensor | None = None) -> Tensor:
    def convolve(x: Tensor, kernel: Tensor) -> Tensor:
        part = centre(kernel, size) if mask is None else centre(kernel, size) * mask
        return F.conv2d(x, part, None, whole.stride, padding_of(whole, size), whole.dilation, whole.groups)

    return whole.through(x, convolve) if isinstance(whole, LowRankConv) else convolve(x, whole.weight)


@cache
def _covered(sizes: tuple[KernelSize, ...], device: torch.device) -> Float[Tensor, "members height width"]:
    """1 where the kernel of a size lies within the one that holds all."""
    masks = torch.zeros(len(sizes), *_bounds(sizes), device=device)  # filled there: nothing is copied
    for mask, size in zip(masks, sizes, strict=True):
        centre(mask, size).fill_(1)
    return masks


def _bounds(sizes: Sequence[KernelSize]) -> KernelSize:
    return max(height for height, _ in sizes), max(width for _, width in sizes)
