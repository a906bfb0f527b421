"""Depthwise convolution and pooling, fast on a CPU in channels_last.

oneDNN's depthwise kernels are fast forward and, for the weight gradient, up to three columns and without dilation.
Everything else is rewritten here into those cases.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from archgrad.errors import ArchgradError

_COLUMNS = 3  # the widest kernel whose weight gradient oneDNN vectorises


def depthwise_conv(
    x: Float[Tensor, "images channels height width"],
    weight: Float[Tensor, "channels 1 kernel_height kernel_width"],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Float[Tensor, "images channels height_out width_out"]:
    """``F.conv2d(x, weight, None, stride, padding, dilation, groups=channels)``, with a faster CPU backward.

    Differentiable twice. The input is kept for backward only if the weight needs a gradient.
    """
    if weight.shape[:2] != (x.shape[1], 1):
        raise ArchgradError(
            f"depthwise_conv: {x.shape[1]} channels need a weight [{x.shape[1]}, 1, k, k], got {list(weight.shape)}"
        )
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x.dtype not in (torch.float32, torch.float64):
        return F.conv2d(x, weight, None, stride, padding, dilation, x.shape[1])
    if stride > 1 and dilation % stride == 0 and padding % stride == 0:
        # such a convolution reads every stride-th pixel only: dense on those, and dilated strides are slow in oneDNN
        x = x[:, :, ::stride, ::stride]
        dilation, padding, stride = dilation // stride, padding // stride, 1
    result: Tensor = _DepthwiseConv.apply(_channels_last(x), weight, stride, padding, dilation)
    return result


def average_pool(
    x: Float[Tensor, "images channels height width"], stride: int = 1
) -> Float[Tensor, "images channels height_out width_out"]:
    """``F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)`` as a depthwise convolution on a CPU."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64):
        return F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    channels, height, width = x.shape[1:]
    sums = depthwise_conv(x, x.new_ones(channels, 1, 3, 3), stride, 1)
    inside = F.avg_pool2d(x.new_ones(1, 1, height, width), 3, stride, 1) * 9
    return sums * _channels_last(inside.reciprocal().expand(1, channels, -1, -1))


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class _DepthwiseConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight if ctx.needs_input_grad[0] else None)
        ctx.shapes = x.shape, weight.shape
        ctx.geometry = stride, padding, dilation
        return F.conv2d(x, weight, None, stride, padding, dilation, x.shape[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        x, weight = ctx.saved_tensors
        x_shape, weight_shape = ctx.shapes
        stride, padding, dilation = ctx.geometry
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        g = _channels_last(grad)
        d_x = d_weight = None
        if torch.is_grad_enabled():  # double backward: torch's own formula is differentiable
            x = g.new_empty(x_shape) if x is None else x
            weight = g.new_empty(weight_shape) if weight is None else weight
            d_x, d_weight = _convolution_backward(
                g, x, weight, stride, (padding, padding), dilation, needs_x, needs_weight
            )
            return d_x, d_weight, None, None, None
        if needs_x:
            d_x = _input_gradient(g, weight, x_shape, stride, padding, dilation)
        if needs_weight:
            d_weight = _weight_gradient(g, x, weight_shape, stride, padding, dilation)
        return d_x, d_weight, None, None, None


def _convolution_backward(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    needs_x: bool,
    needs_weight: bool,
) -> tuple[Tensor | None, Tensor | None]:
    d_x, d_weight, _ = torch.ops.aten.convolution_backward(
        g, x, weight, None, [stride] * 2, padding, [dilation] * 2, False, [0, 0], x.shape[1],
        [needs_x, needs_weight, False],
    )  # fmt: skip
    return d_x, d_weight


def _input_gradient(
    g: Tensor, weight: Tensor, x_shape: torch.Size, stride: int, padding: int, dilation: int
) -> Tensor | None:
    rows, columns = weight.shape[2:]
    margins = dilation * (rows - 1) - padding, dilation * (columns - 1) - padding
    if stride == 1 and min(margins) >= 0:  # the forward kernel with the filter turned round: dilated, 5 times faster
        return F.conv2d(g, weight.flip(2, 3), None, 1, margins, dilation, g.shape[1])
    x = torch.empty(x_shape, dtype=g.dtype, device=g.device, memory_format=torch.channels_last)
    return _convolution_backward(g, x, weight, stride, (padding, padding), dilation, True, False)[0]


def _weight_gradient(
    g: Tensor, x: Tensor, shape: torch.Size, stride: int, padding: int, dilation: int
) -> Tensor | None:
    rows, columns = shape[2:]
    if stride == 1 and dilation > 1 and padding % dilation == 0:
        x, g, padding, dilation = _interleaved(x, dilation), _interleaved(g, dilation), padding // dilation, 1
    if dilation > 1:
        weight = g.new_empty(shape)
        return _convolution_backward(g, x, weight, stride, (padding, padding), dilation, False, True)[1]
    if stride == 1 and rows > x.shape[2]:  # oneDNN is 50 times slower where the kernel is taller than the map
        missing = rows - x.shape[2]
        x, g = F.pad(x, (0, 0, 0, missing)), F.pad(g, (0, 0, 0, missing))
    if columns <= _COLUMNS:
        return _convolution_backward(g, x, g.new_empty(shape), stride, (padding, padding), 1, False, True)[1]
    result = g.new_empty(shape)
    for first in [*range(0, columns - _COLUMNS, _COLUMNS), columns - _COLUMNS]:
        # columns first … first + 2 of the kernel see the map shifted by `first`, cut or padded to the width they read
        left = padding - first
        right = stride * (g.shape[3] - 1) + _COLUMNS - x.shape[3] - left
        if left == right and left >= 0:
            block, pad = x, (padding, left)
        else:
            block, pad = F.pad(x, (left, right)), (padding, 0)
        weight = g.new_empty(*shape[:3], _COLUMNS)
        d_weight = _convolution_backward(g, block, weight, stride, pad, 1, False, True)[1]
        assert d_weight is not None
        result[..., first : first + _COLUMNS] = d_weight
    return result


def _interleaved(x: Tensor, dilation: int) -> Tensor:
    """The dilation² sub-grids of a map, stacked as images: on them a dilated convolution has no holes.

    Zeros fill the last rows and columns; where they meet they stand for padding or multiply a zero gradient.
    """
    images, channels, height, width = x.shape
    x = F.pad(x, (0, -width % dilation, 0, -height % dilation))
    height, width = x.shape[2] // dilation, x.shape[3] // dilation
    grids = x.permute(0, 2, 3, 1).reshape(images, height, dilation, width, dilation, channels)
    return grids.permute(2, 4, 0, 1, 3, 5).reshape(-1, height, width, channels).permute(0, 3, 1, 2)
