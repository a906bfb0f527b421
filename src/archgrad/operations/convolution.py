"""Convolution candidates, each with its ReLU in front and its BN behind."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.operations.declaration import Declaration, chain, is_convolution
from archgrad.operations.norm import batch_norm


class Chain(nn.Sequential):
    """Modules that follow each other and declare themselves as such."""

    def declare(self) -> Declaration:
        """The modules one by one."""
        return chain(*self)


def strided(conv: nn.Module, x: Tensor) -> Tensor:
    """``conv(x)``; of a strided 1×1 convolution, without the pixels that it skips.

    oneDNN, as torch 2.14 has it, writes beyond its memory on AVX2 processors in the backward pass of strided 1×1
    convolutions of fewer than eight channels.
    """
    if is_convolution(conv) and conv.kernel_size == (1, 1) and conv.groups == 1:
        rows, columns = conv.stride
        return F.conv2d(x[..., ::rows, ::columns], conv.weight)
    result: Tensor = conv(x)
    return result


class ReLUConvBN(Chain):
    """ReLU, convolution, BN."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        affine: bool = True,
        track: bool = True,
    ):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False),
            batch_norm(channels_out, affine, track),
        )


class DilatedConv(Chain):
    """ReLU, depthwise convolution (dilated), pointwise convolution, BN."""

    def __init__(
        self,
        channels: int,
        channels_out: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 2,
        affine: bool = True,
        track: bool = True,
    ):
        super().__init__(
            nn.ReLU(),
            depthwise(channels, kernel, stride, dilation),
            nn.Conv2d(channels, channels_out, 1, bias=False),
            batch_norm(channels_out, affine, track),
        )


class SeparableConv(Chain):
    """Twice ReLU, depthwise convolution, pointwise convolution, BN; the first one carries the stride."""

    def __init__(
        self, channels: int, channels_out: int, kernel: int, stride: int = 1, affine: bool = True, track: bool = True
    ):
        super().__init__(
            nn.ReLU(),
            depthwise(channels, kernel, stride),
            nn.Conv2d(channels, channels, 1, bias=False),
            batch_norm(channels, affine, track),
            nn.ReLU(),
            depthwise(channels, kernel),
            nn.Conv2d(channels, channels_out, 1, bias=False),
            batch_norm(channels_out, affine, track),
        )


class FactorizedConv(Chain):
    """ReLU, 1×7 convolution, 7×1 convolution, BN: the stride is shared between the two."""

    def __init__(self, channels: int, channels_out: int, stride: int = 1, affine: bool = True, track: bool = True):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels_out, (1, 7), (1, stride), padding=(0, 3), bias=False),
            nn.Conv2d(channels_out, channels_out, (7, 1), (stride, 1), padding=(3, 0), bias=False),
            batch_norm(channels_out, affine, track),
        )


def depthwise(channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """One filter per channel, padded so that stride 1 keeps the size of the map."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)
