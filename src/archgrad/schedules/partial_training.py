"""Training some of the operations at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from archgrad.context import Context
from archgrad.errors import ArchgradError
from archgrad.roles import Schedule
from archgrad.schedules.support import operations
from archgrad.state import State


@dataclass(frozen=True)
class PartialTraining(Schedule):
    """In every epoch a drawn ``share`` of the candidates' weights is trained; the other candidates rest.

    A candidate is one operation on one edge of one site. All are computed as always, alphas and weights outside of
    choices (stem, classifier, fixed blocks) are always trained, and resting weights keep their momentum. The draw is
    uniform, new in every epoch, and rounds up, so that no epoch trains nothing. Gradients of resting weights are not
    computed, which makes the weight step cheaper. Not from a paper: the baseline of schedules that choose which
    operations rest, such as `OperationFreeze`.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ArchgradError(f"PartialTraining: share must be in (0, 1], got {self.share}")

    def epoch_start(self, state: State, context: Context) -> None:
        found = operations(state.supernet)
        # The same draw when the epoch is resumed in the middle.
        order = torch.randperm(len(found), generator=context.of_epoch().generator("resting")).tolist()
        trained = -int(-len(found) * self.share // 1)
        for place in order[trained:]:
            state.rest(list(found.values())[place])
