"""Multi-objective evolution towards the Pareto front."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from archgrad.errors import ArchgradError, require_positive
from archgrad.genotype import Genotype
from archgrad.scoring.strategies.strategy import Scored, Strategy, mutated, uniform
from archgrad.spaces import Space

Points = Float[np.ndarray, "architectures scores"]


@dataclass(frozen=True)
class ParetoEvolution(Strategy):
    """NSGA-II, one child at a time: parents are the best ``population`` of all architectures scored so far.

    Best is first the rank of non-domination, then the crowding distance; of two drawn parents the better is mutated.
    Ranks are computed by moocore (extra ``pareto``).

    *Source:* Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, 2002.
    """

    population: int = 50

    def __post_init__(self) -> None:
        require_positive("ParetoEvolution", population=self.population)
        _moocore()

    def proposals(self, seen: Sequence[Scored], space: Space, draw: torch.Generator) -> Iterator[Genotype]:
        """Uniform draws until the population is full, then mutated winners of two."""
        if len(seen) < self.population:
            yield from uniform(space, draw)
        order = by_rank_and_crowding(points(seen))[: self.population]
        while True:
            winner = int(torch.randint(len(order), (2,), generator=draw).min())
            yield mutated(seen[int(order[winner])].genotype, space, draw)


def front(seen: Sequence[Scored]) -> list[Scored]:
    """The architectures that no other one beats in one score without being beaten in another, in order of discovery.

    Of those with equal scores all are kept.
    """
    ranks = domination_ranks(points(seen))
    return [one for one, rank in zip(seen, ranks, strict=True) if rank == 0]


def points(seen: Sequence[Scored]) -> Points:
    """The scores as one array."""
    return np.array([one.scores for one in seen], dtype=float)


def by_rank_and_crowding(values: Points) -> Int[np.ndarray, " architectures"]:
    """Best first; equal ones in order of discovery."""
    ranks = domination_ranks(values)
    crowding = np.empty(len(values))
    for rank in np.unique(ranks):
        crowding[ranks == rank] = crowding_distance(values[ranks == rank])
    order: Int[np.ndarray, " architectures"] = np.lexsort((-crowding, ranks))
    return order


def domination_ranks(values: Points) -> Int[np.ndarray, " architectures"]:
    """0 for the Pareto front, 1 for the front of the others, and so on; higher values are better."""
    # Numbers of equal order suffice, and stand for infinite ones as well.
    ordinal = np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1).astype(float)
    ranks: Int[np.ndarray, " architectures"] = np.asarray(
        _moocore().pareto_rank(ordinal, maximise=True), dtype=np.int64
    )
    return ranks


def crowding_distance(values: Points) -> Float[np.ndarray, " architectures"]:
    """The sum over the scores of the distance between the two neighbours, in shares of the range; ∞ at the ends."""
    distance = np.zeros(len(values))
    for column in np.where(np.isfinite(values), values, np.nan).T:
        known = np.where(np.isnan(column), np.nanmin(column) if np.isfinite(column).any() else 0.0, column)
        order = np.argsort(known, kind="stable")
        span = known[order[-1]] - known[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (known[order[2:]] - known[order[:-2]]) / span
    return distance


def _moocore() -> Any:
    try:
        return importlib.import_module("moocore")
    except ImportError:
        raise ArchgradError("a search for a Pareto front needs moocore: pip install 'archgrad[pareto]'") from None
