"""Snow, frost and fog."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from archgrad.robustness.corruptions.fields import clouds, dragged, normal, scale_of, uniform, zoomed

SNOW = (  # mean and deviation of the layer, its zoom, threshold, radius and σ of its fall, share of the image
    (0.1, 0.2, 1.0, 0.6, 8, 3, 0.95),
    (0.1, 0.2, 1.0, 0.5, 10, 4, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
)
FROST = ((1.0, 0.2), (1.0, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))  # shares of the image and of the frost
FOG = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))  # density, decay of the fractal


def snow(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Bright flakes that fall, and the same turned by 180°, over a whitened image.

    *Differs:* the published program rounds the layer of flakes to 8 bits before and after it is dragged, which moves a
    pixel by less than two grey levels.
    """
    mean, deviation, zoom, threshold, radius, sigma, share = SNOW[severity - 1]
    scale = scale_of(x)
    layer = mean + deviation * normal((len(x), 1, *x.shape[-2:]), generator, x)
    layer = zoomed(layer, zoom * max(1.0, scale))  # flakes grow with the image, but are never less than a pixel
    layer = torch.where(layer < threshold, 0, layer.clamp(0, 1))
    angle = uniform((len(x),), generator, x, -0.75 * math.pi, -0.25 * math.pi)
    layer = dragged(layer, scale * radius, scale * sigma, angle)
    white = share * x + (1 - share) * torch.maximum(x, 1.5 * grey(x) + 0.5)
    return white + layer + layer.flip(-2, -1)


def frost(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A sum of the image and of frost.

    *Differs:* the published sets take crops of photographs, which cannot be shipped. Ours is drawn: ridges of two
    fractals, which look like needles of ice, bluish white on dark, of mean 0.56 and deviation 0.27. The published
    shares take from the image what they add in frost, so that the last severities destroy more of its structure, but
    are no further from it in pixels.
    """
    share, ice = FROST[severity - 1]
    fields = [1 - (2 * clouds(x, 1.6, generator) - 1).abs() for _ in range(2)]
    needles = torch.maximum(fields[0], fields[1]) ** 3
    if x.shape[1] == 1:
        return share * x + ice * needles
    tint = torch.tensor([0.88, 0.96, 1.06], dtype=x.dtype, device=x.device)[:, None, None]
    return share * x + ice * (needles * tint).clamp(0, 1)


def fog(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Clouds added, and the result brought back to the range that the image had."""
    density, decay = FOG[severity - 1]
    brightest = x.amax((1, 2, 3), keepdim=True)
    return (x + density * clouds(x, decay, generator)) * brightest / (brightest + density)


def grey(x: Tensor) -> Tensor:
    """Luma of colour images; grey ones as they are."""
    if x.shape[1] == 1:
        return x
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype, device=x.device)
    return (x * weights[:, None, None]).sum(1, keepdim=True)
