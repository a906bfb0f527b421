"""A measure of networks as a report shows it: its name, how its values are written, and which way it goes."""

from __future__ import annotations

from archgrad.figures.numbers import percent, plain, share
from archgrad.reading import Reading


class Measure:
    """A metric, or the loss, as the task of a run has people read it."""

    def __init__(self, reading: Reading, name: str):
        self.name = name
        self.label = reading.label(name)
        self.share = name in reading.shares
        self.higher_is_better = reading.higher_is_better
        self.counts_inputs = self.share and name == reading.running
        """Whether it is a share of inputs, of which each is right or wrong."""

    def written(self, value: float | None) -> str:
        """A value, e.g. ``97.31 %``."""
        return percent(value) if self.share or value is None else plain(value)

    def tick(self, value: float) -> str:
        """A value with no more digits than it needs, for axes."""
        return share(value) if self.share else plain(value)

    def mean(self, value: float, deviation: float | None) -> str:
        """A mean and the deviation around it, e.g. ``97.31 ± 0.20 %``."""
        if not self.share:
            return plain(value) if deviation is None else f"{plain(value)} ± {plain(deviation)}"
        return percent(value) if deviation is None else f"{100 * value:.2f} ± {100 * deviation:.2f} %"

    def difference(self, size: float) -> str:
        """The size of a difference."""
        return f"{100 * size:.2f} percentage points" if self.share else plain(size)
