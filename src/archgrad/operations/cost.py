"""Parameters and FLOPs of operations by formula, so that a whole space is counted without building a network.

FLOPs are multiply-accumulates of convolutions and linear layers (a linear layer's bias counts one each); pooling,
normalisation and activations are free. This is the convention of NAS-Bench-201 and of the DARTS literature.
"""

from __future__ import annotations

from typing import NamedTuple

from archgrad.errors import require_whole, unknown

Extent = tuple[int, int]
"""Height and width of a map in pixels."""


class Complexity(NamedTuple):
    """What a network part takes: trainable parameters, and multiply-accumulates per image."""

    parameters: int = 0
    flops: int = 0

    def plus(self, other: Complexity) -> Complexity:
        """The cost of both."""
        return Complexity(self.parameters + other.parameters, self.flops + other.flops)


def extent(image_size: int | tuple[int, int]) -> Extent:
    """Height and width of images that are given by both, or by one number if they are square."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    require_whole("image_size", 1, height=height, width=width)
    return height, width


def half(size: Extent) -> Extent:
    """The size of a map after stride 2."""
    return -(-size[0] // 2), -(-size[1] // 2)


def convolution(channels_in: int, channels_out: int, area: int, size: Extent, groups: int = 1) -> Complexity:
    """A convolution without bias: kernel of ``area`` pixels, output map of ``size``."""
    parameters = channels_in * channels_out * area // groups
    return Complexity(parameters, parameters * size[0] * size[1])


def norm(channels: int) -> Complexity:
    """An affine batch normalisation."""
    return Complexity(2 * channels)


def linear(features: int, outputs: int) -> Complexity:
    """A linear layer with bias."""
    return Complexity((features + 1) * outputs, (features + 1) * outputs)


def total(*costs: Complexity) -> Complexity:
    """The sum."""
    return Complexity(sum(c.parameters for c in costs), sum(c.flops for c in costs))


def conv_bn(channels_in: int, channels_out: int, kernel: int, size: Extent) -> Complexity:
    """ReLU-Conv-BN with an output map of ``size``."""
    return total(convolution(channels_in, channels_out, kernel**2, size), norm(channels_out))


def operation(name: str, channels: int, stride: int, size: Extent) -> Complexity:
    """A candidate of a settled network (affine BN) that reads a map of ``size``."""
    out = size if stride == 1 else half(size)

    def depthwise_separable(kernel: int) -> Complexity:
        return total(
            convolution(channels, channels, kernel**2, out, groups=channels),
            convolution(channels, channels, 1, out),
            norm(channels),
        )

    match name:
        case "none" | "noise" | "max_pool_3x3" | "avg_pool_3x3":
            return Complexity()
        case "skip_connect":
            return Complexity() if stride == 1 else conv_bn(channels, channels, 1, out)
        case "sep_conv_3x3" | "sep_conv_5x5" | "sep_conv_7x7":
            once = depthwise_separable(int(name[-1]))
            return once.plus(once)
        case "dil_conv_3x3" | "dil_conv_5x5":
            return depthwise_separable(int(name[-1]))
        case "nor_conv_1x1" | "nor_conv_3x3":
            return conv_bn(channels, channels, int(name[-1]), out)
        case "conv_7x1_1x7":
            return total(
                convolution(channels, channels, 7, (size[0], out[1])),
                convolution(channels, channels, 7, out),
                norm(channels),
            )
    raise unknown("operation without a cost formula", name, [])
