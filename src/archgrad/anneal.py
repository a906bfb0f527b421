"""A number that changes over the epochs of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from archgrad.context import Clock
from archgrad.errors import ArchgradError


@dataclass(frozen=True)
class Anneal:
    """From ``start`` in the first epoch of the run to ``end`` in its last, whatever their number.

    ``linear``: start + (end − start)·t; ``cosine``: end + (start − end)(1 + cos πt)/2; ``exponential``:
    start·(end/start)^t, with t = epoch/(epochs − 1).
    """

    start: float
    end: float
    shape: Literal["linear", "cosine", "exponential"] = "linear"

    def __post_init__(self) -> None:
        if self.shape not in ("linear", "cosine", "exponential"):
            raise ArchgradError(f"Anneal: shape must be 'linear', 'cosine' or 'exponential', got {self.shape!r}")
        if self.shape == "exponential" and not (self.start > 0 and self.end > 0):
            raise ArchgradError(f"Anneal: exponential needs numbers above 0, got {self.start} and {self.end}")

    def at(self, clock: Clock) -> float:
        """The value in the clock's epoch."""
        t = clock.progress
        if self.shape == "linear":
            return self.start + (self.end - self.start) * t
        if self.shape == "cosine":
            return self.end + (self.start - self.end) * (1 + math.cos(math.pi * t)) / 2
        return float(self.start * (self.end / self.start) ** t)


def value_at(value: float | Anneal, clock: Clock) -> float:
    """A constant, or an annealed number at a clock."""
    return value.at(clock) if isinstance(value, Anneal) else value


def ends(value: float | Anneal) -> tuple[float, float]:
    """The first and the last value, between which all others lie."""
    return (value.start, value.end) if isinstance(value, Anneal) else (value, value)
