"""Whether the best architectures lie together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse.csgraph import connected_components

from archgrad.errors import ArchgradError
from archgrad.landscape.graph import adjacency, nodes
from archgrad.landscape.surface import METRIC
from archgrad.tables import Table


@dataclass(frozen=True)
class Clustering:
    """How the ``count`` best of ``of`` architectures are spread."""

    count: int
    of: int
    threshold: float
    """The lowest accuracy among them."""
    mean_distance: float
    """Between two of them, in slots with unequal settings."""
    expected_distance: float
    """Between two architectures of the table."""
    neighbour_share: float
    """Share of their neighbours that are among the best, too."""
    expected_share: float
    """The same for as many architectures drawn at random."""
    components: int
    """Pieces in which they fall if one edit at a time must stay among them."""
    largest: int
    """The size of the largest piece."""

    @property
    def concentration(self) -> float:
        """How many times more often a neighbour of a best one is a best one than chance says."""
        return self.neighbour_share / self.expected_share

    def summary(self) -> dict[str, float]:
        """The statistics as plain data."""
        return {**asdict(self), "concentration": self.concentration}


def clustering(table: Table, top: float = 0.01, *, metric: str = METRIC, merge: bool = False) -> Clustering:
    """The best share (below 1) or number of the architectures, and whether they are neighbours.

    ``merge``: of isomorphism classes; without, copies of one network count as neighbours of each other.
    Equal values are taken in the order of the rows.
    """
    rows = nodes(table, merge)
    accuracy = table.values(metric)[rows]
    known = int(np.count_nonzero(~np.isnan(accuracy)))
    count = round(top * known) if top < 1 else int(top)
    if not 2 <= count < known:
        raise ArchgradError(f"clustering: top={top} means {count} of {known} architectures; at least 2 and not all")
    best = np.argsort(-accuracy, kind="stable")[:count]
    graph = adjacency(table, merge)
    # Only neighbours with a value could have been among the best.
    measured = ~np.isnan(accuracy)
    around = graph[best][:, np.flatnonzero(measured)].sum()
    inside = graph[best][:, best]
    pieces, piece_of = connected_components(inside, directed=False)
    return Clustering(
        count=count,
        of=known,
        threshold=float(accuracy[best].min()),
        mean_distance=_mean_distance(table.codes[rows[best]]),
        expected_distance=_mean_distance(table.codes[rows[measured]]),
        neighbour_share=float(inside.sum() / around) if around else math.nan,
        expected_share=(count - 1) / (known - 1),
        components=int(pieces),
        largest=int(np.bincount(piece_of).max()),
    )


def _mean_distance(codes: Int[np.ndarray, "cells slots"]) -> float:
    """Over all pairs, from the counts of every setting: no pair is looked at."""
    total = len(codes)
    equal: Float[np.ndarray, " slots"] = np.array([(np.bincount(column) ** 2).sum() for column in codes.T], dtype=float)
    return float((1 - (equal - total) / (total * (total - 1))).sum())
