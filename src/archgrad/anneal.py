"""A number that changes over the epochs of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from archgrad.context import Clock
from archgrad.errors import ArchgradError


@dataclass(frozen=True)
class Anneal:
    """From ``start`` in the first epoch of the run to ``end``.

    ``linear``: start + (end − start)·t; ``cosine``: end + (start − end)(1 + cos πt)/2; ``exponential``:
    start·(end/start)^t. ``over`` is where t, the epoch as a share, reaches 1 and stays there: ``"last"``, in the last
    epoch, t = epoch/(epochs − 1); ``"length"``, at the end of the run, one epoch after the last, t = epoch/epochs;
    a number: after so many epochs, whatever the length of the run.
    """

    start: float
    end: float
    shape: Literal["linear", "cosine", "exponential"] = "linear"
    over: Literal["last", "length"] | int = "last"

    def __post_init__(self) -> None:
        if self.shape not in ("linear", "cosine", "exponential"):
            raise ArchgradError(f"Anneal: shape must be 'linear', 'cosine' or 'exponential', got {self.shape!r}")
        whole = isinstance(self.over, int) and not isinstance(self.over, bool)
        if self.over not in ("last", "length") and not (whole and int(self.over) > 0):
            raise ArchgradError(f"Anneal: over must be 'last', 'length' or a number of epochs, got {self.over!r}")
        if self.shape == "exponential" and not (self.start > 0 and self.end > 0):
            raise ArchgradError(f"Anneal: exponential needs numbers above 0, got {self.start} and {self.end}")

    def at(self, clock: Clock) -> float:
        """The value in the clock's epoch."""
        t = self.progress(clock)
        if self.shape == "linear":
            return self.start + (self.end - self.start) * t
        if self.shape == "cosine":
            return self.end + (self.start - self.end) * (1 + math.cos(math.pi * t)) / 2
        return float(self.start * (self.end / self.start) ** t)

    def progress(self, clock: Clock) -> float:
        """How far the change has come in the clock's epoch, from 0 to 1."""
        if self.over == "last":
            return clock.progress
        return min(1.0, clock.epoch / max(1, clock.epochs if self.over == "length" else self.over))


def value_at(value: float | Anneal, clock: Clock) -> float:
    """A constant, or an annealed number at a clock."""
    return value.at(clock) if isinstance(value, Anneal) else value


def ends(value: float | Anneal) -> tuple[float, float]:
    """The first and the last value, between which all others lie."""
    return (value.start, value.end) if isinstance(value, Anneal) else (value, value)
