"""Schedules: what happens between the steps and epochs of a search."""

from __future__ import annotations

from archgrad.context import Context
from archgrad.state import SearchStep, State


class Schedule:
    """Acts on the state of a search between epochs."""

    needs = ""  # no annotation: see `Modifier.rebuilds`
    """What must be searched for it, in words, where a network of one's own will not do; empty where any will."""

    def rests(self, epoch: int, epochs: int) -> bool:
        """Whether alphas rest in an epoch of a run, where that is known beforehand."""
        return False

    def epoch_start(self, state: State, context: Context) -> None:
        """Called before every epoch, resumed ones included: what is set here follows from the clock and memory."""

    def step_end(self, state: State, step: SearchStep, context: Context) -> None:
        """Called after every step."""

    def epoch_end(self, state: State, context: Context) -> None:
        """Called after every epoch, before its checkpoint."""
