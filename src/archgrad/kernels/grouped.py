"""Grouped pointwise convolutions as products of matrices."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.errors import ArchgradError


def grouped_pointwise(
    x: Float[Tensor, "images channels_in height width"],
    weight: Float[Tensor, "channels_out channels_per_group 1 1"],
    groups: int,
) -> Float[Tensor, "images channels_out height width"]:
    """``F.conv2d(x, weight, groups=groups)`` as one batch of matrix products; the result has the layout of ``x``.

    For GPUs, whose libraries have good kernels for batches of products and poor ones for narrow groups. In
    channels_last the result is copied once, since the groups come one after the other.
    """
    images, channels, height, width = x.shape
    if weight.shape[1] * groups != channels or weight.shape[2:] != (1, 1):
        raise ArchgradError(
            f"grouped_pointwise: {channels} channels in {groups} groups need a weight "
            f"[out, {channels // groups}, 1, 1], got {list(weight.shape)}"
        )
    matrices = weight.reshape(groups, -1, weight.shape[1])
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        rows = x.permute(0, 2, 3, 1).reshape(-1, groups, weight.shape[1])
        product = torch.bmm(rows.transpose(0, 1), matrices.transpose(1, 2))
        product = product.transpose(0, 1).reshape(images, height, width, -1).permute(0, 3, 1, 2)
        return product.contiguous(memory_format=torch.channels_last)
    return (matrices @ x.reshape(images, groups, -1, height * width)).reshape(images, -1, height, width)
