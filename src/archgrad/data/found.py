"""What a directory of images holds, as its readers hand it on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from archgrad.data.encoded import ImageSource


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a set as it lies on disk: its name there, its images, and the labels of all of them."""

    name: str
    source: ImageSource
    labels: Any


@dataclass(frozen=True, eq=False)
class Found:
    """The training part and, where there is one, the test part; classes that are declared; what was not read."""

    parts: list[Part]
    names: tuple[str, ...] | None
    notes: list[str] = field(default_factory=list)
