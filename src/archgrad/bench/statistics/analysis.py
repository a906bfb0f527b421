"""The whole statistical report of results, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from archgrad.bench.statistics.aggregate import Aggregate, aggregates
from archgrad.bench.statistics.agreement import Agreement, between_benchmarks, between_settings
from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube
from archgrad.bench.statistics.pairwise import Pair, pairs, smallest_p
from archgrad.bench.statistics.power_analysis import TopTwo, top_two
from archgrad.bench.statistics.ranks import Ranks, average_ranks
from archgrad.bench.statistics.results import Results
from archgrad.bench.statistics.variation import Spread, best_settings, spread
from archgrad.errors import ArchgradError


@dataclass(frozen=True, eq=False)
class Analysis:
    """Statistics of results. ``everything``: all scores; ``cube``: what can be compared, methods by average rank.

    ``intervals_over``: what was drawn again for the intervals (`Bootstrap.over`). ``smallest_p``: the least that the
    test over the benchmarks could have given for the clearest pair.
    """

    results: Results
    everything: Cube
    cube: Cube
    alpha: float
    ranks: Ranks
    ranks_of_best: Ranks
    pairs: list[Pair]
    smallest_p: float
    aggregates: list[Aggregate]
    benchmarks: Agreement
    settings: Agreement
    spread: Spread
    best_settings: Float[np.ndarray, " settings"]
    best_of: int
    power: list[TopTwo]
    intervals_over: str
    resamples: int

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader must know: about the results, and what was left out."""
        return (*self.results.remarks, *self.cube.remarks)

    @cached_property
    def extras(self) -> list[dict[str, Any]]:
        """What every result brings along; see `Results.extras`."""
        return self.results.extras()


def analyse(results: Results, *, alpha: float = 0.05, resamples: int = 2000, seed: int = 0) -> Analysis:
    """All statistics of results; the bootstrap follows from the seed.

    Refuses results without any score. What cannot be compared is left out, and ``remarks`` says so.
    """
    if not 0 < alpha < 1:
        raise ArchgradError(f"alpha must be between 0 and 1, got {alpha}")
    if resamples < 100:
        raise ArchgradError(f"resamples must be 100 or more, got {resamples}")
    everything = Cube.of(results)
    cube = everything.compared()
    plain = average_ranks(cube, Bootstrap(cube, 1, 1 - alpha, seed), "mean", alpha)
    cube = cube.order([cube.methods.index(name) for name in plain.methods])
    bootstrap = Bootstrap(cube, resamples, 1 - alpha, seed)
    compared = pairs(cube, bootstrap)
    best, of = best_settings(cube)
    return Analysis(
        results=results,
        everything=everything,
        cube=cube,
        alpha=alpha,
        ranks=average_ranks(cube, bootstrap, "mean", alpha),
        ranks_of_best=average_ranks(cube, bootstrap, "best", alpha),
        pairs=compared,
        smallest_p=smallest_p(len(cube.weights), max(len(compared), 1)),
        aggregates=aggregates(cube, bootstrap),
        benchmarks=between_benchmarks(cube, bootstrap),
        settings=between_settings(cube, bootstrap),
        spread=spread(cube),
        best_settings=best,
        best_of=of,
        power=top_two(cube, alpha),
        intervals_over=bootstrap.over,
        resamples=bootstrap.number,
    )
