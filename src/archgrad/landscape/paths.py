"""Shortest paths between two architectures, and the accuracy barrier on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.landscape.surface import METRIC, Source, genotype, surface
from archgrad.tables import Architecture

FURTHEST = 8
"""The distance up to which all shortest paths are listed: 8 edits can be made in 40,320 orders."""


@dataclass(frozen=True, eq=False)
class Paths:
    """All shortest paths from one architecture to another, with the accuracies along them."""

    steps: tuple[tuple[Genotype, ...], ...]
    """Per path its architectures, both ends included."""
    accuracies: Float[np.ndarray, "paths points"]

    @property
    def distance(self) -> int:
        """The number of edits between the ends."""
        return int(self.accuracies.shape[1]) - 1

    @property
    def mean(self) -> Float[np.ndarray, " points"]:
        """Mean over the paths, per step."""
        mean: Float[np.ndarray, " points"] = self.accuracies.mean(axis=0)
        return mean

    @property
    def std(self) -> Float[np.ndarray, " points"]:
        """Standard deviation over the paths, per step."""
        deviation: Float[np.ndarray, " points"] = self.accuracies.std(axis=0)
        return deviation

    @property
    def barrier(self) -> float:
        """½ (first + last accuracy) − the lowest in between on any path; 0 where nothing lies in between."""
        inside = self.accuracies[:, 1:-1]
        if inside.size == 0:
            return 0.0
        return float((self.accuracies[0, 0] + self.accuracies[0, -1]) / 2 - inside.min())


def shortest_paths(table: Source, a: Architecture, b: Architecture, *, metric: str = METRIC) -> Paths:
    """Every sequence of edits that brings ``a`` one edit closer to ``b`` with each step.

    On NAS-Bench-201 each step gives one differing edge its target operation: d! paths at distance d. Refuses distances
    above 8, and paths over architectures without a value.
    """
    space, accuracy = table.space, surface(table, metric)
    start, end = genotype(table, a), genotype(table, b)
    distance = space.distance(start, end)
    if distance > FURTHEST:
        raise ArchgradError(f"paths: the two architectures are {distance} edits apart, at most {FURTHEST} are possible")
    closer: dict[Genotype, list[Genotype]] = {}

    def walk(here: Genotype, left: int) -> Iterator[tuple[Genotype, ...]]:
        if left == 0:
            yield (here,)
            return
        if here not in closer:
            closer[here] = [g for g in space.neighbours(here) if space.distance(g, end) == left - 1]
        for following in closer[here]:
            for rest in walk(following, left - 1):
                yield (here, *rest)

    steps = tuple(walk(start, distance))
    accuracies = np.array([[accuracy(point) for point in path] for path in steps])
    if np.isnan(accuracies).any():
        missing = next(point for path in steps for point in path if math.isnan(accuracy(point)))
        raise ArchgradError(f"paths: no value is known for {space.format(missing)}")
    return Paths(steps, accuracies)


def barrier(table: Source, a: Architecture, b: Architecture, *, metric: str = METRIC) -> float:
    """½ (acc a + acc b) − the lowest accuracy inside any shortest path from ``a`` to ``b``.

    Negative where all of the way lies higher than its ends.

    *Source:* arXiv 2503.10404. *Differs:* the published code compares with the first
    end and the mean of the first step.
    """
    return shortest_paths(table, a, b, metric=metric).barrier
