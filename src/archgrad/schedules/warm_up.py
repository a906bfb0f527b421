"""Weights first."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.errors import ArchgradError
from archgrad.roles import Schedule


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Train only the weights for the first ``epochs`` epochs; alphas rest meanwhile.

    *Source:* PC-DARTS, arXiv 1907.05737, section 4.2 (15 epochs).
    """

    epochs: int

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ArchgradError(f"WarmUp: epochs must be 0 or more, got {self.epochs}")

    def rests(self, epoch: int, epochs: int) -> bool:
        """In the first epochs."""
        return epoch < self.epochs
