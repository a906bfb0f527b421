"""The deepening search of P-DARTS."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archgrad.context import Context
from archgrad.errors import ArchgradError, require_positive
from archgrad.roles import Schedule
from archgrad.schedules.support import prune
from archgrad.state import State


@dataclass(frozen=True)
class ProgressiveDepth(Schedule):
    """Several searches in a row, each deeper than the one before and with fewer candidates per edge.

    The run is divided into as many stages of equal length (rounded up) as ``cells`` has numbers. Each stage starts with
    fresh weights, alphas and optimisers and its own cosine of the learning rate, on a supernet of so many cells; alphas
    rest in the first ``warm_up`` share of it. At its end every edge keeps as many of its candidates, those with the
    largest alphas, as ``operations`` says for the next stage.

    *Source:* P-DARTS, arXiv 1904.12760, sections 3.2 and 4.2: 5, 11 and 17 cells, 8, 5 and 3 operations, 25 epochs
    each, of which the first 10 train weights only. With `OperationDropout` and `SkipLimit` it is the method.
    """

    needs = "a space, whose networks can be built in several depths"

    cells: tuple[int, ...] = (5, 11, 17)
    operations: tuple[int, ...] = (8, 5, 3)
    warm_up: float = 0.4

    def __post_init__(self) -> None:
        if not self.cells or len(self.cells) != len(self.operations):
            raise ArchgradError(
                f"ProgressiveDepth: cells and operations need one number per stage, got {self.cells!r} and "
                f"{self.operations!r}"
            )
        for number in (*self.cells, *self.operations):
            require_positive("ProgressiveDepth", size=number)
        if not 0 <= self.warm_up < 1:
            raise ArchgradError(f"ProgressiveDepth: warm_up must be a share of a stage, in [0, 1), got {self.warm_up}")

    def rests(self, epoch: int, epochs: int) -> bool:
        """In the first share of every stage."""
        _, (first, end) = self.stage(epoch, epochs)
        return epoch < first + round(self.warm_up * (end - first))

    def epoch_start(self, state: State, context: Context) -> None:
        stage, (first, end) = self.stage(context.clock.epoch, context.clock.epochs)
        state.rebuild((first, end), inherit=False, cells=self.cells[stage])

    def epoch_end(self, state: State, context: Context) -> None:
        stage, (_, end) = self.stage(context.clock.epoch, context.clock.epochs)
        if context.clock.epoch + 1 == end and stage + 1 < len(self.cells):
            keep = self.operations[stage + 1]
            prune(state, {name: [keep] * len(group.edges) for name, group in state.supernet.groups.items()})

    def stage(self, epoch: int, epochs: int) -> tuple[int, tuple[int, int]]:
        """The stage that an epoch belongs to, and its epochs [first, end)."""
        length = math.ceil(epochs / len(self.cells))
        stage = min(epoch // length, len(self.cells) - 1)
        return stage, (stage * length, min((stage + 1) * length, epochs))
