"""What several corruptions are made of: random numbers, borders, kernels, zooms and clouds; all on whole batches."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Border = Literal["nearest", "mirror", "symmetric"]
"""Beyond the border: the last pixel (aaa|abc), mirrored without it (cb|abc) or with it (ba|abc)."""


def scale_of(x: Tensor) -> float:
    """How much larger images are than those of CIFAR, for which lengths in pixels are given."""
    return min(x.shape[-2:]) / 32


def uniform(shape: tuple[int, ...], generator: torch.Generator, like: Tensor, low: float, high: float) -> Tensor:
    """Uniform numbers, drawn on the host so that they are the same on every device."""
    return (low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)).to(like)


def normal(shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers, drawn on the host so that they are the same on every device."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(like)


def inside(positions: Tensor, size: int, border: Border) -> Tensor:
    """Positions of pixels that may lie beyond the border as positions inside."""
    if border == "nearest" or size == 1:
        return positions.clamp(0, size - 1)
    if border == "mirror":
        around = positions.remainder(2 * (size - 1))
        return torch.minimum(around, 2 * (size - 1) - around)
    around = positions.remainder(2 * size)
    return torch.minimum(around, 2 * size - 1 - around)


def padded(x: Tensor, rows: int, columns: int, border: Border) -> Tensor:
    """Images with more pixels on every side, any number of them."""
    height, width = x.shape[-2:]
    above = inside(torch.arange(-rows, height + rows, device=x.device), height, border)
    beside = inside(torch.arange(-columns, width + columns, device=x.device), width, border)
    return x[..., above, :][..., beside]


def gaussian_taps(sigma: float, reach: int) -> list[float]:
    """2·reach + 1 weights of a Gaussian, which sum to 1."""
    weights = [math.exp(-(i**2) / (2 * sigma**2)) if sigma > 0 else float(i == 0) for i in range(-reach, reach + 1)]
    return [weight / sum(weights) for weight in weights]


def filtered(x: Tensor, kernel: Float[Tensor, "rows columns"], border: Border) -> Tensor:
    """Every channel filtered with one kernel of odd size."""
    rows, columns = kernel.shape
    flat = padded(x, rows // 2, columns // 2, border).flatten(0, 1)[:, None]
    return F.conv2d(flat, kernel.to(x)[None, None]).view(x.shape)


def smoothed(x: Tensor, sigma: float, border: Border = "nearest", truncate: float = 4.0) -> Tensor:
    """Gaussian blur; the kernel ends after ``truncate`` standard deviations."""
    reach = int(truncate * sigma + 0.5)
    if reach == 0:
        return x
    taps = torch.tensor(gaussian_taps(sigma, reach), dtype=torch.float64)
    return filtered(filtered(x, taps[:, None], border), taps[None], border)


def zoomed(x: Tensor, factor: float) -> Tensor:
    """The middle of images, enlarged bilinearly to their size."""
    height, width = x.shape[-2:]
    if factor == 1:
        return x
    crop = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    middle = x[..., top : top + crop[0], left : left + crop[1]]
    size = max(height, round(crop[0] * factor)), max(width, round(crop[1] * factor))
    large = F.interpolate(middle, size, mode="bilinear", align_corners=True)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return large[..., top : top + height, left : left + width]


def dragged(x: Tensor, radius: float, sigma: float, angle: Float[Tensor, " n"]) -> Tensor:
    """Motion blur, a direction (in radians) per image: the mean of copies moved along it with the weights of one half
    of a Gaussian, in whole pixels, as ImageMagick does it.
    """
    height, width = x.shape[-2:]
    taps = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(2 * math.ceil(radius) + 1)]
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    image = torch.arange(len(x), device=x.device)[:, None, None]
    channels_last, result = x.permute(0, 2, 3, 1), torch.zeros_like(x)
    for number, weight in enumerate(taps):
        down, right = ((number * part - 0.5).ceil().long()[:, None] for part in (angle.sin(), angle.cos()))
        y = inside(rows + down, height, "nearest")[:, :, None]
        moved = channels_last[image, y, inside(columns + right, width, "nearest")[:, None]]
        result += weight / sum(taps) * moved.permute(0, 3, 1, 2)
    return result


def clouds(x: Tensor, decay: float, generator: torch.Generator) -> Float[Tensor, "n 1 h w"]:
    """A plasma fractal per image, from 0 to 1: midpoint displacement on a torus, by random numbers whose range falls
    by the square of ``decay`` from one scale to the next.
    """
    height, width = x.shape[-2:]
    size = 1 << max(1, math.ceil(math.log2(max(height, width))))
    field = torch.zeros(len(x), size, size, dtype=torch.float64)  # on the host: not every device has doubles
    step, wobble = size, 100.0

    def displaced(total: Tensor) -> Tensor:
        return total / 4 + uniform(tuple(total.shape), generator, total, -(wobble**2), wobble**2)

    while step >= 2:
        half = step // 2
        corners = field[:, ::step, ::step]
        pairs = corners + corners.roll(-1, 1)
        field[:, half::step, half::step] = displaced(pairs + pairs.roll(-1, 2))
        centres, corners = field[:, half::step, half::step], field[:, ::step, ::step]
        across = centres + centres.roll(1, 1) + corners + corners.roll(-1, 2)
        down = centres + centres.roll(1, 2) + corners + corners.roll(-1, 1)
        field[:, ::step, half::step], field[:, half::step, ::step] = displaced(across), displaced(down)
        step, wobble = half, wobble / decay
    field = field - field.amin((1, 2), keepdim=True)
    field = field / field.amax((1, 2), keepdim=True).clamp_min(torch.finfo(field.dtype).tiny)
    return field[:, None, :height, :width].to(x)
