"""Feature maps as matrices, one row per pixel: how all kernels look at channels_last tensors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_WIDTH = 64  # columns from which torch's per-column CPU kernels run at full vector speed


def as_rows(x: Float[Tensor, "images channels height width"]) -> Float[Tensor, "pixels channels"]:
    """A map as rows of channels: a view of a channels_last map, a copy of any other."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def as_maps(
    rows: Float[Tensor, "pixels channels"], like: Float[Tensor, "images _ height width"]
) -> Float[Tensor, "images channels height width"]:
    """Rows as a channels_last map of the height and width of ``like``."""
    images, _, height, width = like.shape
    return rows.view(images, height, width, rows.shape[1]).permute(0, 3, 1, 2)


def repeats(rows: Float[Tensor, "pixels channels"]) -> int:
    """How many neighbouring rows may be read as one: narrow rows make per-column kernels up to four times slower."""
    pixels, channels = rows.shape
    count = 1
    while count * channels < _WIDTH and pixels % (4 * count) == 0 and rows.is_contiguous():
        count *= 2
    return count


def column_moments(
    rows: Float[Tensor, "pixels channels"],
) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Mean and biased variance of every column, by two passes: exact also where the mean is much above the deviation.

    The columns of widened rows are groups of one channel; their moments add up by the law of total variance.
    """
    channels = rows.shape[1]
    if rows.device.type != "cpu":
        variance, mean = torch.var_mean(rows, 0, correction=0)
        return mean, variance
    count = repeats(rows)
    wide = rows.view(-1, count * channels) if count > 1 else rows
    means, variances = torch.ops.aten.batch_norm_update_stats(wide[:, :, None, None], None, None, 0.0)
    if count == 1:
        return means, variances
    between, mean = torch.var_mean(means.view(-1, channels), 0, correction=0)
    return mean, variances.view(-1, channels).mean(0).add_(between)


def column_products(
    g: Float[Tensor, "pixels channels"],
    y: Float[Tensor, "pixels channels"],
    mean: Float[Tensor, " channels"],
    deviation: Float[Tensor, " channels"],
) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Σ g and Σ g·(y − mean)·deviation of every column; ``deviation`` is the inverse standard deviation."""
    channels = y.shape[1]
    if g.device.type != "cpu":
        return g.sum(0), (g * (y - mean)).sum(0) * deviation
    count = min(repeats(g), repeats(y))
    if count > 1:
        g, y = g.view(-1, count * channels), y.view(-1, count * channels)
        mean, deviation = torch.cat([mean] * count), torch.cat([deviation] * count)
    _, products, sums = torch.ops.aten.native_batch_norm_backward(
        g[:, :, None, None], y[:, :, None, None], None, None, None, mean, deviation, True, 0.0, [False, True, True]
    )
    if count > 1:
        both = torch.stack((sums, products)).view(2, count, channels).sum(1)
        return both[0], both[1]
    return sums, products
