"""Diagnostics in the records of a run."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.context import Context
from archgrad.diagnostics import diagnose
from archgrad.errors import require_positive
from archgrad.roles import Schedule
from archgrad.state import State


@dataclass(frozen=True)
class Diagnose(Schedule):
    """Every ``every`` epochs, and after the last one, `archgrad.diagnostics.diagnose` adds to the record of the epoch.

    One fixed validation batch; nothing of the run changes. ``eigenvalue``: with that of the Hessian, which costs up to
    ten second-order products on sixteen of its inputs.
    """

    every: int = 5
    eigenvalue: bool = True

    def __post_init__(self) -> None:
        require_positive("Diagnose", every=self.every)

    def epoch_end(self, state: State, context: Context) -> None:
        ended = context.clock.epoch + 1
        if state.history and (ended % self.every == 0 or ended == context.clock.epochs):
            alphas = dict(state.supernet.alphas.items())
            state.history[-1] |= diagnose(state.observe, alphas, context, self.eigenvalue)
