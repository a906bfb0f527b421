"""Arrays as inputs: which of them are images, in which layout, and on which scale their pixels are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archgrad.errors import ArchgradError
from archgrad.tasks.task import as_tensor

COLOURS = (1, 3, 4)
"""How many channels pictures have; other numbers are of feature maps."""

WHITE_8, WHITE_16 = 255, 65535

_RARE = (torch.uint16, torch.uint32, torch.uint64)
"""Types with which torch computes little."""

DIM = 16
"""Floats up to here are no pixels from 0 to 255: the whitest pixel of a whole set would be nearly black."""


@dataclass
class Arrays:
    """Reads the inputs of one set: what is decided about its first array holds for the same one of other parts.

    `channels_last`: whether images are `[n, height, width, channels]`; None: where their shape says so. Of every array,
    by its place among several, `layouts` says whether it was turned, and `scales` which number is white.
    """

    channels_last: bool | None = None
    layouts: dict[str, bool] = field(default_factory=dict)
    scales: dict[str, int | None] = field(default_factory=dict)

    def read(self, values: Any, where: str, place: str = "") -> Any:
        """Inputs as the network takes them: a tensor `[n, …]`, or a tuple or dictionary of them.

        Pictures become `uint8` from 0 to 255 or floats from 0 to 1, `[n, channels, height, width]`. Other floats come
        in torch's default type, but for tensors of doubles, other whole numbers as they are.
        """
        if isinstance(values, dict):
            return {name: self.read(part, where, f"{place}[{name!r}]") for name, part in values.items()}
        if isinstance(values, tuple):
            return tuple(self.read(part, where, f"{place}[{number}]") for number, part in enumerate(values))
        where += place
        x = _tensor(values, where)
        if x.ndim < (1 if place else 2):
            raise ArchgradError(f"{where}: needs at least two axes [n, …], got shape {list(x.shape)}")
        if not x.numel():
            raise ArchgradError(f"{where}: holds no inputs, its shape is {list(x.shape)}")
        if x.is_complex():
            raise ArchgradError(f"{where}: must be real numbers, got {x.dtype}")
        if x.is_floating_point():
            if not x.isfinite().all():
                raise ArchgradError(f"{where}: holds values that are not finite")
            double = isinstance(values, Tensor) and x.dtype == torch.float64  # on purpose, unlike NumPy's usual type
            x = x if double else x.to(torch.get_default_dtype())
        if x.ndim != 4:
            return x
        x = self._channels_first(x, where, place)
        return self._pixels(x, where, place) if x.shape[1] in COLOURS else x

    @property
    def fractions(self) -> bool:
        """Whether the inputs are pictures of 16 bits, which are read as fractions."""
        return self.scales.get("") == WHITE_16

    def _channels_first(self, x: Tensor, where: str, place: str) -> Tensor:
        """Images with their channels in axis 1, wherever they are; refuses arrays that may be either."""
        if place not in self.layouts:
            first, height, last = x.shape[1:]
            turned = last in COLOURS and first not in COLOURS if self.channels_last is None else self.channels_last
            if self.channels_last is None and turned and x.is_floating_point() and first != height:
                raise ArchgradError(
                    f"{where}: shape {list(x.shape)} may be images with their channels last, or maps of {first} "
                    "channels: say channels_last=True or False"
                )
            self.layouts[place] = turned
        return x.permute(0, 3, 1, 2).contiguous() if self.layouts[place] else x

    def _pixels(self, x: Tensor, where: str, place: str) -> Tensor:
        """Pictures on one scale: whole numbers as 8 bits where they fit, else as fractions of 16 bits."""
        if x.dtype in (torch.uint8, torch.bool):
            return x.to(torch.uint8) * (255 if x.dtype == torch.bool else 1)
        low, high = x.min().item(), x.max().item()
        if place not in self.scales:
            self.scales[place] = _white(x, low, high)
        white = self.scales[place]
        if x.is_floating_point():
            return x if white is None else x / white
        if white is None or low < 0 or high > white:
            most = f"0 … {white:,}" if white else "8 or 16 bits"
            raise ArchgradError(f"{where}: pixels must lie in {most}, got whole numbers from {low} to {high}")
        return x.to(torch.uint8) if white == WHITE_8 else x.to(torch.get_default_dtype()) / white


def _white(x: Tensor, low: float, high: float) -> int | None:
    """The number that is white; None where the numbers are none of pixels from 0."""
    if x.is_floating_point():
        return WHITE_8 if low >= 0 and DIM < high <= WHITE_8 else None
    return next((white for white in (WHITE_8, WHITE_16) if low >= 0 and high <= white), None)


def _tensor(values: Any, where: str) -> Tensor:
    if not isinstance(values, Tensor):
        try:
            values = np.asarray(values)
        except (TypeError, ValueError) as error:  # inputs of several shapes
            raise ArchgradError(f"{where}: must be one array of numbers ({' '.join(str(error).split())})") from None
        if values.dtype.kind == "u" and values.dtype.itemsize > 1:
            values = values.astype(np.int64)
    x = as_tensor(values, where)
    return x.long() if x.dtype in _RARE else x
