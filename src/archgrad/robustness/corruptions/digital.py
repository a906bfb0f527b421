"""Brightness, contrast, elastic transforms, pixelation and JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from archgrad.robustness.corruptions.fields import smoothed, uniform

BRIGHTNESS = (0.05, 0.1, 0.15, 0.2, 0.3)
CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)
ELASTIC = ((0.0, 0.0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03))
# Amplitude and σ of the local displacement, amplitude of the affine one, all in image sizes.
SIZE = (0.95, 0.9, 0.85, 0.75, 0.65)
QUALITY = (80, 65, 58, 50, 40)


def brightness(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """The value in hue, saturation and value is raised: the largest channel v becomes min(v + c, 1), the others keep
    their proportion to it.
    """
    value = x.amax(1, keepdim=True)
    raised = (value + BRIGHTNESS[severity - 1]).clamp(max=1)
    return torch.where(value > 0, x * raised / value.clamp_min(torch.finfo(x.dtype).tiny), raised)


def contrast(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Drawn towards the mean of each channel."""
    mean = x.mean((2, 3), keepdim=True)
    return mean + CONTRAST[severity - 1] * (x - mean)


def elastic_transform(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """An affine map that moves three points of the image, and then small local displacements.

    In the published strengths the affine part falls with severity while the local one rises: a higher severity need
    not be further away in pixels.
    """
    height, width = x.shape[-2:]
    corners = uniform((len(x), 3, 2), generator, x, -1, 1)
    local = local_displacement(x, severity, generator)
    amplitude = ELASTIC[severity - 1][2] * min(height, width)
    side = min(height, width) // 3
    points = torch.tensor([[side, side], [side, -side], [-side, -side]], dtype=x.dtype, device=x.device)
    points = points + torch.tensor([width // 2, height // 2], dtype=x.dtype, device=x.device)
    places = torch.stack(
        torch.meshgrid(*(torch.arange(n, device=x.device) for n in (width, height)), indexing="xy"), -1
    )
    if side > 0:
        moved = torch.cat([points + amplitude * corners, torch.ones_like(corners[..., :1])], -1)
        # Where in the image every pixel comes from: the map that takes the moved points back.
        back = torch.linalg.solve(moved.cpu().double(), points.cpu().double().expand(len(x), -1, -1)).to(x)
        homogeneous = F.pad(places.to(x), (0, 1), value=1.0)
        x = _sampled(x, homogeneous.flatten(0, 1) @ back)
    return _sampled(x, (places + local).flatten(1, 2))


def local_displacement(x: Tensor, severity: int, generator: torch.Generator) -> Float[Tensor, "n h w 2"]:
    """The local part of an elastic transform, in pixels: smoothed uniform noise."""
    size = min(x.shape[-2:])
    amplitude, sigma, _ = (size * value for value in ELASTIC[severity - 1])
    rough = uniform((len(x), 2, *x.shape[-2:]), generator, x, -1, 1)
    return amplitude * smoothed(rough, sigma, "symmetric", truncate=3.0).permute(0, 2, 3, 1)


def _sampled(x: Tensor, places: Float[Tensor, "n pixels 2"]) -> Tensor:
    """Images read at places (column, row) in pixels, bilinearly and mirrored at the border."""
    height, width = x.shape[-2:]
    size = torch.tensor([max(1, width - 1), max(1, height - 1)], dtype=x.dtype, device=x.device)
    grid = (2 * places / size - 1).view(len(x), height, width, 2)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=True)


def pixelate(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Shrunk and enlarged again, both by box filters."""
    result = x
    for axis in (-2, -1):
        size = x.shape[axis]
        small = max(1, int(size * SIZE[severity - 1]))
        weights = box_weights(small, size)
        both = (box_weights(size, small) @ weights).to(x)
        result = both @ result if axis == -2 else result @ both.T
    return result


def box_weights(outputs: int, inputs: int) -> Float[Tensor, "outputs inputs"]:
    """How Pillow's box filter resizes one axis: the mean of the pixels whose centres an output pixel covers."""
    scale = inputs / outputs
    centres = (torch.arange(outputs, dtype=torch.float64) + 0.5) * scale
    offset = (torch.arange(inputs, dtype=torch.float64) + 0.5 - centres[:, None]) / max(scale, 1.0)
    covered = ((offset > -0.5) & (offset <= 0.5)).double()
    return covered / covered.sum(1, keepdim=True)


def jpeg_compression(x: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Written and read as JPEG, by Pillow."""
    pixels = (x * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    images = []
    for image in pixels:
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if x.shape[1] == 1 else image).save(buffer, "JPEG", quality=QUALITY[severity - 1])
        images.append(np.atleast_3d(np.asarray(Image.open(buffer))))
    return (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(x) / 255).contiguous()
