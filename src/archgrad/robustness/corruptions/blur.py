"""Defocus, glass, motion and zoom blur."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.robustness.corruptions.fields import (
    dragged,
    filtered,
    gaussian_taps,
    scale_of,
    smoothed,
    uniform,
    zoomed,
)

DISC = ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1))  # radius, σ that softens the rim
GLASS = ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2))  # σ, reach of a move, rounds
MOTION = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))  # radius, σ
ZOOM = (1.06, 1.11, 1.16, 1.21, 1.26)


def defocus_blur(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A disc as kernel, its rim softened; on larger images the kernel of CIFAR is stretched."""
    radius, sigma = DISC[severity - 1]
    reach = math.ceil(radius) + 1
    place = torch.arange(-reach, reach + 1, dtype=torch.float64)
    disc = (place[:, None] ** 2 + place**2 <= radius**2).double()
    taps = torch.tensor(gaussian_taps(sigma, 1), dtype=torch.float64)
    kernel = filtered((disc / disc.sum())[None, None], taps[:, None] * taps, "mirror")[0, 0]
    stretch = stretching(2 * reach + 1, scale_of(x))
    return filtered(x, stretch @ kernel @ stretch.T, "mirror")


def stretching(size: int, scale: float) -> Float[Tensor, "stretched size"]:
    """Matrix that stretches an odd number of taps: each covers ``scale`` pixels then, in part or whole."""
    half = math.ceil(size * scale / 2 - 0.5)
    pixels = torch.arange(-half, half + 1, dtype=torch.float64)[:, None]
    taps = scale * (torch.arange(size, dtype=torch.float64) - size // 2)
    low, high = torch.maximum(pixels - 0.5, taps - scale / 2), torch.minimum(pixels + 0.5, taps + scale / 2)
    return (high - low).clamp_min(0) / scale


def glass_blur(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Blurred, each pixel replaced by one nearby, one after the other, and blurred again.

    The published code means to swap pixels, but copies them, since both sides of the swap look at one array; the
    published images are made so.
    """
    sigma, reach, rounds = GLASS[severity - 1]
    scale = scale_of(x)
    sigma, reach = sigma * scale, max(1, round(reach * scale))
    count, (height, width) = len(x), x.shape[-2:]
    rows, columns = range(height - reach, reach, -1), range(width - reach, reach, -1)
    image = np.arange(count)
    source = np.repeat(np.arange(height * width)[:, None], count, 1)  # pixel → where it comes from, per image
    for _ in range(rounds):
        moves = torch.randint(-reach, reach, (len(rows), len(columns), 2, count), generator=generator).numpy()
        shifts = moves[:, :, 0] * width + moves[:, :, 1]
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                here = row * width + column
                source[here] = source[here + shifts[i, j], image]
    order = torch.from_numpy(source.T.copy()).to(x.device)[:, None].expand(-1, x.shape[1], -1)
    moved = smoothed(x, sigma).flatten(2).gather(2, order).view_as(x)
    return smoothed(moved, sigma)


def motion_blur(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Dragged in a direction of −45° to 45°."""
    radius, sigma = MOTION[severity - 1]
    scale = scale_of(x)
    angle = uniform((len(x),), generator, x, -math.pi / 4, math.pi / 4)
    return dragged(x, scale * radius, scale * sigma, angle)


def zoom_blur(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """The mean of the image and of copies zoomed by 1, 1.01, 1.02, …"""
    factors = np.arange(1, ZOOM[severity - 1], 0.01)
    total = x.clone()
    for factor in factors:
        total += zoomed(x, float(factor))
    return total / (len(factors) + 1)
