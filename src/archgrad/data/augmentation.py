"""Augmentation of whole batches of images, each image with its own random numbers and no loop over images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from archgrad.devices import placed


@dataclass(frozen=True)
class Draws:
    """The random numbers of one batch: where each image is cropped, whether it is mirrored, what is cut out."""

    shift: Int[Tensor, "batch 2"]
    flip: Bool[Tensor, " batch"]
    centre: Int[Tensor, "batch 2"]

    def part(self, start: int, stop: int, device: torch.device) -> Draws:
        """The numbers of some of the batch's images, on the device."""
        return Draws(*(placed(t[start:stop], device) for t in (self.shift, self.flip, self.centre)))


@dataclass(frozen=True)
class Augmentation:
    """Random crop after zero padding, horizontal flip, and cutout, in this order.

    `pad`: pixels added on every side before a crop of the image's own size. `flip`: mirror half of the images.
    `cutout`: side in pixels of the square set to zero after normalisation, around a uniformly drawn pixel and cut off
    at the border.

    *Source:* DeVries and Taylor, Improved Regularization of CNNs with Cutout, arXiv 1708.04552.
    """

    pad: int = 0
    flip: bool = False
    cutout: int = 0

    def draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
        """Draw a batch's random numbers, always the same count: switching one part off does not change the others."""
        uniform = torch.rand(5, batch, dtype=torch.float64, generator=generator)
        shift = (uniform[:2].T * (2 * self.pad + 1)).long()
        centre = (uniform[2:4].T * torch.tensor([height, width])).long()
        return Draws(shift, (uniform[4] < 0.5) & self.flip, centre)

    def crop(self, x: Shaped[Tensor, "batch c h w"], draws: Draws) -> Shaped[Tensor, "batch c h w"]:
        """Crop and flip raw images (any dtype)."""
        if not (self.pad or self.flip):
            return x
        height, width = x.shape[-2:]
        rows = torch.arange(height, device=x.device)[None] + draws.shift[:, :1]
        columns = torch.arange(width, device=x.device)[None].expand(len(x), -1)
        columns = torch.where(draws.flip[:, None], width - 1 - columns, columns) + draws.shift[:, 1:]
        padded = F.pad(x, [self.pad] * 4)
        image = torch.arange(len(x), device=x.device)[:, None, None]
        # One gather of whole pixels: the result is stored channels last.
        return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def cut(self, x: Float[Tensor, "batch c h w"], draws: Draws) -> Float[Tensor, "batch c h w"]:
        """Set the cutout square of normalised images to zero."""
        if not self.cutout:
            return x

        def inside(size: int, centre: Tensor) -> Tensor:
            start = centre[:, None] - self.cutout // 2
            place = torch.arange(size, device=x.device)[None]
            return (place >= start) & (place < start + self.cutout)

        rows, columns = inside(x.shape[-2], draws.centre[:, 0]), inside(x.shape[-1], draws.centre[:, 1])
        return x.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


@dataclass(frozen=True)
class Normalisation:
    """Zero mean and unit deviation per channel: (x − mean) / std, for pixel values in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """Normalise a batch."""
        both = placed(torch.tensor([self.mean, self.std], dtype=x.dtype)[:, :, None, None], x.device)
        return (x - both[0]) / both[1]
