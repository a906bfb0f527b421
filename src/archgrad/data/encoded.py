"""Images as encoded files or bytes, decoded to one size: on demand where they stream, all at once for small sets."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from torch import Tensor

from archgrad.errors import ArchgradError


class ImageSource(Protocol):
    """Encoded images by number."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """The encoded image."""
        ...

    def where(self, index: int) -> str:
        """The place to name in a message."""
        ...


@dataclass(frozen=True)
class ImageFiles:
    """One image per file."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> bytes:
        """The content of the file."""
        return self.paths[index].read_bytes()

    def where(self, index: int) -> str:
        """The path of the file."""
        return str(self.paths[index])


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded images; decoding gives `uint8 [channels, size, size]`.

    With a size, an image is scaled so that its shorter side fits and its centre is kept; downwards by averaging the
    pixels under each new one, upwards bilinearly. Without, every image must have the shape of the first.
    """

    source: ImageSource
    numbers: Int[Tensor, " n"]
    channels: int
    height: int
    width: int
    resize: bool

    @classmethod
    def of(cls, source: ImageSource, channels: int | None, size: int | None) -> Encoded:
        """All images of a source, in the channels and size asked for or in those of its first image."""
        first = _open(source, 0)
        channels = channels or (1 if first.mode in ("1", "L") else 3)
        height, width = (size, size) if size else (first.height, first.width)
        return cls(source, torch.arange(len(source)), channels, height, width, resize=size is not None)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, indices: Int[Tensor, " m"]) -> Encoded:
        return replace(self, numbers=self.numbers[indices.cpu()])

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Decoded images for a DataLoader's worker."""
        return [self._decode(int(self.numbers[index])) for index in indices]

    def stack(self, images: list[Tensor]) -> UInt8[Tensor, "batch c h w"]:
        """A batch of decoded images, which may be empty."""
        shape = (0, self.channels, self.height, self.width)
        return torch.stack(images) if images else torch.empty(shape, dtype=torch.uint8)

    def decode(self, indices: Int[Tensor, " m"] | None = None) -> UInt8[Tensor, "m c h w"]:
        """Decode many images in threads, all of them where no indices are given."""
        numbers = self.numbers if indices is None else self.numbers[indices]
        images = torch.empty(len(numbers), self.channels, self.height, self.width, dtype=torch.uint8)

        def decode(place: int) -> None:
            images[place] = self._decode(int(numbers[place]))

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            for _ in pool.map(decode, range(len(numbers))):
                pass
        return images

    def _decode(self, number: int) -> UInt8[Tensor, "c h w"]:
        image = _open(self.source, number).convert("L" if self.channels == 1 else "RGB")
        if self.resize:
            image = _fit(image, self.height)
        elif (image.height, image.width) != (self.height, self.width):
            raise ArchgradError(
                f"{self.source.where(number)}: {image.width}×{image.height} pixels where the first image has "
                f"{self.width}×{self.height}: give image_size to bring all to one size"
            )
        pixels = torch.from_numpy(np.array(image))
        return pixels[None] if self.channels == 1 else pixels.permute(2, 0, 1)


def _open(source: ImageSource, number: int) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(source.read(number)))
        image.load()
    except Exception as error:  # decoders raise many kinds of errors on damaged files
        reason = " ".join(str(error).split())
        raise ArchgradError(f"{source.where(number)}: not a readable image ({reason})") from None
    return image


def _fit(image: Image.Image, size: int) -> Image.Image:
    if (image.height, image.width) == (size, size):
        return image
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    filtering = Image.Resampling.BOX if size < side else Image.Resampling.BILINEAR
    return image.resize((size, size), filtering, box=(left, top, left + side, top + side))
