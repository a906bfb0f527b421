"""Images as encoded files or bytes, decoded to one size: on demand where they stream, all at once for small sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from PIL import Image
from torch import Tensor

from archgrad.data.pixels import UnreadableError, decoded, has_alpha, has_colours, opened
from archgrad.errors import ArchgradError

T = TypeVar("T")

TASK = 64
"""Images that a thread takes at a time: each alone would cost as much as its decoding."""

LOOKED_AT = 50_000
"""Images whose heads are read before the first is decoded."""


class ImageSource(Protocol):
    """Encoded images by number."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> bytes:
        """The encoded image."""
        ...

    def where(self, index: int) -> str:
        """The place to name in a message."""
        ...

    def size(self, index: int) -> int:
        """The bytes of the encoded image."""
        ...

    def files(self) -> Sequence[Path]:
        """The files that hold the images."""
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

    def size(self, index: int) -> int:
        """The size of the file."""
        return self.paths[index].stat().st_size

    def files(self) -> Sequence[Path]:
        """All of them."""
        return self.paths


@dataclass(frozen=True, eq=False)
class Encoded:
    """Encoded images; decoding gives `uint8 [channels, height, width]`.

    With a size, an image is scaled so that its shorter side fits and its centre is kept; downwards by averaging the
    pixels under each new one, upwards bilinearly. Without, every image must have the shape of the first.
    """

    source: ImageSource
    numbers: Int[Tensor, " n"]
    channels: int
    height: int
    width: int
    resize: bool
    grey_only: bool = False
    """Whether colours are a surprise: they were not asked to be made grey."""

    @classmethod
    def of(cls, source: ImageSource, look: Look, channels: int | None, size: int | None) -> Encoded:
        """All images of a source, in the channels and size asked for or in those that a look at the set found."""
        height, width = (size, size) if size else (look.height, look.width)
        grey_only = channels is None and not look.colours
        channels = channels or (3 if look.colours else 1)
        return cls(source, torch.arange(len(source)), channels, height, width, size is not None, grey_only)

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

        in_threads(decode, range(len(numbers)))
        return images

    def readable(self) -> Bool[Tensor, " n"]:
        """Which images can be read: all are decoded to know."""
        found = torch.ones(len(self), dtype=torch.bool)

        def look(place: int) -> None:
            try:
                self._pixels(int(self.numbers[place]))
            except UnreadableError:
                found[place] = False

        in_threads(look, range(len(self)))
        return found

    def _pixels(self, number: int) -> Image.Image:
        image = opened(_content(self.source, number))
        if self.grey_only and has_colours(image):
            raise UnreadableError(f"has colours, unlike the {LOOKED_AT:,} images that were looked at: say channels=3")
        return decoded(image, grey=self.channels == 1)

    def _decode(self, number: int) -> UInt8[Tensor, "c h w"]:
        try:
            image = self._pixels(number)
        except UnreadableError as error:
            raise ArchgradError(f"{self.source.where(number)}: {error}") from None
        if self.resize:
            image = _fit(image, self.height)
        elif (image.height, image.width) != (self.height, self.width):
            raise ArchgradError(
                f"{self.source.where(number)}: {image.width}×{image.height} pixels where the first image has "
                f"{self.width}×{self.height}: give image_size to bring all to one size"
            )
        pixels = torch.from_numpy(np.array(image))
        return pixels[None] if self.channels == 1 else pixels.permute(2, 0, 1)


@dataclass(frozen=True)
class Look:
    """What the heads of a set's images say: whether any has colours or transparent pixels, and the size of the first.

    `looked_at` of them were opened, all unless there are very many; `transparent` counts those with transparency.
    `deepest`: the largest number in some of those with 16 bits; None where there are none.
    """

    colours: bool
    transparent: int
    deepest: int | None
    looked_at: int
    height: int
    width: int

    @classmethod
    def at(cls, sources: Sequence[ImageSource]) -> Look:
        """A look at all parts of a set; images that cannot be read are passed over here."""
        places = [(source, number) for source in sources for number in range(len(source))]
        chosen = [places[index] for index in spread(len(places), LOOKED_AT)]
        heads: list[tuple[bool, bool]] = []
        deep: list[tuple[ImageSource, int]] = []

        def look(place: tuple[ImageSource, int]) -> None:
            with suppress(UnreadableError):
                image = opened(_content(*place))
                heads.append((has_colours(image), has_alpha(image)))
                if image.mode.startswith("I"):
                    deep.append(place)

        in_threads(look, chosen)
        height, width = _first_size(places)
        colours, alpha = (sum(head[part] for head in heads) for part in (0, 1))
        return cls(bool(colours), alpha, _deepest(deep), len(heads), height, width)


def _deepest(places: Sequence[tuple[ImageSource, int]]) -> int | None:
    found = []
    for index in spread(len(places), 64):
        with suppress(UnreadableError, OSError):
            found.append(int(np.asarray(opened(_content(*places[index]))).max()))
    return max(found, default=None)


def _first_size(places: Sequence[tuple[ImageSource, int]]) -> tuple[int, int]:
    for place in places:
        with suppress(UnreadableError):
            first = decoded(opened(_content(*place)), grey=True)
            return first.height, first.width
    source, number = places[0]
    try:
        decoded(opened(_content(source, number)), grey=True)
    except UnreadableError as error:
        raise ArchgradError(f"{source.where(number)}: {error}; no other image can be read either") from None
    raise AssertionError("it was unreadable a moment ago")


def spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, evenly spread.

    >>> spread(10, 4), spread(3, 4)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def in_threads(function: Callable[[T], None], values: Sequence[T]) -> None:
    """Call a function on every value, several at a time; its first error ends it."""

    def several(start: int) -> None:
        for value in values[start : start + TASK]:
            function(value)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        try:
            for _ in pool.map(several, range(0, len(values), TASK)):
                pass
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _content(source: ImageSource, number: int) -> bytes:
    try:
        return source.read(number)
    except OSError as error:
        raise UnreadableError(f"cannot be read ({error.strerror or error})") from None


def _fit(image: Image.Image, size: int) -> Image.Image:
    if (image.height, image.width) == (size, size):
        return image
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    filtering = Image.Resampling.BOX if size < side else Image.Resampling.BILINEAR
    return image.resize((size, size), filtering, box=(left, top, left + side, top + side))
