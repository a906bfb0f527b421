"""Candidate operations of image cells, and the table of their names.

All keep the number of channels and shrink the map by their stride.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from archgrad.errors import unknown
from archgrad.operations.convolution import DilatedConv, FactorizedConv, ReLUConvBN, SeparableConv
from archgrad.operations.declaration import Declaration, Hidden, Shared, chain, declaration
from archgrad.operations.drop_path import DropPath
from archgrad.operations.identity import FactorizedReduce, Zero
from archgrad.operations.noise import Noise
from archgrad.operations.norm import batch_norm
from archgrad.operations.pooling import Pool


@dataclass(frozen=True)
class Spec:
    """Where and how an operation is built."""

    channels: int
    stride: int = 1
    affine: bool = True
    track: bool = True
    pool_norm: bool = False


Build = Callable[[Spec], nn.Module]


def _separable(kernel: int) -> Build:
    return lambda s: SeparableConv(s.channels, s.channels, kernel, s.stride, s.affine, s.track)


def _dilated(kernel: int) -> Build:
    return lambda s: DilatedConv(s.channels, s.channels, kernel, s.stride, 2, s.affine, s.track)


def _convolution(kernel: int) -> Build:
    return lambda s: ReLUConvBN(s.channels, s.channels, kernel, s.stride, s.affine, s.track)


def _pool(kind: str) -> Build:
    return lambda s: Pool(kind, s.channels, s.stride, s.pool_norm, s.track)


def _skip(s: Spec) -> nn.Module:
    return nn.Identity() if s.stride == 1 else FactorizedReduce(s.channels, s.channels, s.affine, s.track)


OPERATIONS: dict[str, Build] = {
    "none": lambda s: Zero(s.stride),
    "noise": lambda s: Noise(s.stride),
    "skip_connect": _skip,
    "max_pool_3x3": _pool("max"),
    "avg_pool_3x3": _pool("avg"),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "conv_7x1_1x7": lambda s: FactorizedConv(s.channels, s.channels, s.stride, s.affine, s.track),
    "nor_conv_1x1": _convolution(1),
    "nor_conv_3x3": _convolution(3),
}


def build(name: str, spec: Spec) -> nn.Module:
    """The operation of that name."""
    if name not in OPERATIONS:
        raise unknown("operation", name, OPERATIONS)
    return OPERATIONS[name](spec)


__all__ = [
    "OPERATIONS",
    "Declaration",
    "DilatedConv",
    "DropPath",
    "FactorizedConv",
    "FactorizedReduce",
    "Hidden",
    "Noise",
    "Pool",
    "ReLUConvBN",
    "SeparableConv",
    "Shared",
    "Spec",
    "Zero",
    "batch_norm",
    "build",
    "chain",
    "declaration",
]
