"""Local optima, and the basins from which climbing leads to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from archgrad.errors import ArchgradError
from archgrad.landscape.graph import adjacency, nodes
from archgrad.landscape.surface import METRIC
from archgrad.tables import Table


@dataclass(frozen=True, eq=False)
class Optima:
    """The local optima of a table, best first."""

    index: Int[np.ndarray, " optima"]
    """Their indices in the benchmark."""
    accuracy: Float[np.ndarray, " optima"]
    basin: Int[np.ndarray, " optima"]
    """From how many architectures climbing ends there, itself included."""
    leads_to: Int[np.ndarray, " nodes"]
    """For every architecture (isomorphism class) the number of its optimum in the lists above."""

    def __len__(self) -> int:
        return len(self.index)

    def summary(self) -> dict[str, float]:
        """The statistics as plain data."""
        return {
            "optima": len(self),
            "architectures": int(self.basin.sum()),
            "best": float(self.accuracy[0]),
            "mean": float(self.accuracy.mean()),
            "best_basin": int(self.basin[0]),
            "largest_basin": int(self.basin.max()),
            "mean_after_climbing": float(self.accuracy @ self.basin / self.basin.sum()),
        }


def local_optima(table: Table, *, metric: str = METRIC, merge: bool = False) -> Optima:
    """Architectures without a better neighbour, and their basins under steepest ascent.

    Climbing goes to the best neighbour (of equal ones that of the first row) while that is strictly better.
    ``merge``: isomorphism classes, each with its first member's accuracy, so that equal networks are no plateau.
    Architectures without a value are not there.
    """
    rows = nodes(table, merge)
    accuracy = table.values(metric)[rows]
    if np.isnan(accuracy).all():
        raise ArchgradError(f"table {table.name!r}: {metric} has no values")
    accuracy = np.where(np.isnan(accuracy), -np.inf, accuracy)
    graph = adjacency(table, merge).tocoo()
    source, target = graph.coords
    order = np.lexsort((target, -accuracy[target], source))
    climbers, first = np.unique(source[order], return_index=True)
    best = target[order][first]
    leads_to = np.arange(len(rows))
    better = accuracy[best] > accuracy[climbers]
    leads_to[climbers[better]] = best[better]
    # Following two steps at a time reaches the end of every climb in log(length) rounds.
    while (leads_to[leads_to] != leads_to).any():
        leads_to = leads_to[leads_to]
    known = accuracy > -np.inf
    tops, basins = np.unique(leads_to[known], return_counts=True)
    by_accuracy = np.lexsort((tops, -accuracy[tops]))
    number = np.full(len(rows), -1)
    number[tops[by_accuracy]] = np.arange(len(tops))
    return Optima(
        index=table.index[rows[tops[by_accuracy]]],
        accuracy=accuracy[tops[by_accuracy]],
        basin=basins[by_accuracy],
        leads_to=np.where(known, number[leads_to], -1),
    )
