"""The progressive shrinking of DrNAS and ASAP."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archgrad.context import Context
from archgrad.errors import ArchgradError, require_positive
from archgrad.roles import Schedule
from archgrad.schedules.support import prune
from archgrad.state import State


@dataclass(frozen=True)
class ProgressivePruning(Schedule):
    """At some points of the run the weakest candidates of every edge are dropped, and the others seen more channels.

    ``at``: the points, as shares of the epochs. ``keep``: the share of the candidates that an edge began with which
    are left after each, rounded up, those with the largest alphas; what a genotype may keep never loses its last
    candidate. ``warm_up``: the first share of the epochs between two points, in which alphas rest. ``shares``: K of
    `PartialChannels` after each point, empty to leave it as it is; weights stay where they fit, wider ones keep what
    they had in their first channels, and momenta start anew.

    *Source:* DrNAS, arXiv 2006.10355, section 3.3: half of the operations dropped after 25 of 50 epochs, K from 6 to 3
    (its program: 7 operations to 4, K from 6 to 4, and 10 of each 25 epochs for weights only); dropping in several
    rounds is ASAP, arXiv 1904.04123 (there by a threshold). *Differs:* DrNAS copies random channels into the widened
    operations.
    """

    at: tuple[float, ...] = (0.5,)
    keep: tuple[float, ...] = (0.5,)
    shares: tuple[int, ...] = ()
    warm_up: float = 0.0

    def __post_init__(self) -> None:
        if not self.at or list(self.at) != sorted(set(self.at)) or not all(0 < point < 1 for point in self.at):
            raise ArchgradError(
                f"ProgressivePruning: at must be rising shares of the epochs, in (0, 1), got {self.at!r}"
            )
        if len(self.keep) != len(self.at) or not all(0 < share <= 1 for share in self.keep):
            raise ArchgradError(
                f"ProgressivePruning: keep needs one share in (0, 1] for each of {list(self.at)}, got {self.keep!r}"
            )
        if self.shares and len(self.shares) != len(self.at):
            raise ArchgradError(
                f"ProgressivePruning: shares needs one number for each of {list(self.at)}, got {self.shares!r}"
            )
        if not 0 <= self.warm_up < 1:
            raise ArchgradError(
                f"ProgressivePruning: warm_up must be a share of a stage, in [0, 1), got {self.warm_up}"
            )
        for share in self.shares:
            require_positive("ProgressivePruning", shares=share)

    @property
    def needs(self) -> str:  # type: ignore[override]
        """Wider candidates come with another supernet, and only a space can be built again."""
        return "a space, whose candidates can be made wider in mid-search" if self.shares else ""

    def rests(self, epoch: int, epochs: int) -> bool:
        """In the first share of the epochs between two points."""
        ends, passed = [0, *self.epochs(epochs), epochs], self._passed(epoch, epochs)
        first, end = ends[passed], ends[passed + 1]
        return epoch < first + round(self.warm_up * (end - first))

    def _passed(self, epoch: int, epochs: int) -> int:
        return sum(point <= epoch for point in self.epochs(epochs))

    def epoch_start(self, state: State, context: Context) -> None:
        if "began" not in context.memory:
            groups = state.supernet.groups.items()
            context.memory["began"] = {n: (g.mask & state.masks[n]).sum(-1).tolist() for n, g in groups}
        passed = self._passed(context.clock.epoch, context.clock.epochs)
        if self.shares and passed:
            state.rebuild(state.span, share=self.shares[passed - 1])

    def epoch_end(self, state: State, context: Context) -> None:
        following = context.clock.epoch + 1
        for epoch, share in zip(self.epochs(context.clock.epochs), self.keep, strict=True):
            if epoch == following:
                prune(
                    state, {n: [math.ceil(share * c) for c in counts] for n, counts in context.memory["began"].items()}
                )

    def epochs(self, epochs: int) -> list[int]:
        """The epochs before which candidates are dropped; none before the first."""
        return [max(1, round(point * epochs)) for point in self.at]
