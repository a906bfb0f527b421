"""The L2 regularisation of R-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.anneal import Anneal, value_at
from archgrad.context import Context
from archgrad.errors import ArchgradError
from archgrad.roles import Schedule
from archgrad.state import State

LADDER = tuple(3e-4 * factor for factor in (1, 3, 9, 27, 81))
"""The published factors, one search each."""


@dataclass(frozen=True)
class WeightDecayRamp(Schedule):
    """The weight decay of the supernet's weights, which may change from epoch to epoch.

    *Source:* R-DARTS (L2), arXiv 1909.09656, section 5.2: 3e-4 times 1, 3, 9, 27 or 81, constant in each search
    (`LADDER`), of which the best is kept. *Differs:* by default one search climbs the whole ladder, exponentially.
    """

    decay: float | Anneal = Anneal(LADDER[0], LADDER[-1], "exponential")

    def __post_init__(self) -> None:
        ends = (self.decay.start, self.decay.end) if isinstance(self.decay, Anneal) else (self.decay,)
        if not all(end >= 0 for end in ends):
            raise ArchgradError(f"WeightDecayRamp: the decay must not be negative, got {self.decay!r}")

    def epoch_start(self, state: State, context: Context) -> None:
        state.weight_decay = value_at(self.decay, context.clock)
