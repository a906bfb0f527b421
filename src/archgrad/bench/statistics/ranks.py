"""Average ranks over benchmarks, Friedman's test, Nemenyi's test, and what a critical-difference diagram shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube, mean, summary


@dataclass(frozen=True)
class Friedman:
    """Do the methods differ at all? χ² with ties corrected, and Iman and Davenport's F, which is less conservative.

    *Source:* Demšar, JMLR 7 (2006), section 3.2.2.
    """

    chi2: float
    p: float
    f: float
    f_p: float
    methods: int
    blocks: int


@dataclass(frozen=True, eq=False)
class Ranks:
    """Ranks of the methods, best first; 1 is best, equal scores share the mean of their ranks.

    ``how``: the score of a benchmark, ``mean`` or ``best`` over its settings. ``low``, ``high``: bootstrap interval of
    the average rank. ``critical_difference``: averages further apart differ (Nemenyi); NaN without a test. Benchmarks
    that score the same searches are one block of the tests.
    """

    how: str
    methods: tuple[str, ...]
    benchmarks: tuple[str, ...]
    ranks: Float[np.ndarray, "benchmarks methods"]
    average: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    friedman: Friedman | None
    nemenyi: Float[np.ndarray, "methods methods"]
    critical_difference: float

    @property
    def groups(self) -> list[tuple[int, int]]:
        """Methods first…last that are not told apart, as long as possible: the bars of the diagram."""
        return groups(self.average, self.critical_difference)


def rank(scores: Float[np.ndarray, "*batch methods"]) -> Float[np.ndarray, "*batch methods"]:
    """1 for the highest score; equal scores share the mean of their ranks; NaN stays NaN."""
    return np.asarray(stats.rankdata(-scores, axis=-1, nan_policy="omit"), dtype=np.float64)


def average_ranks(cube: Cube, bootstrap: Bootstrap, how: str = "mean", alpha: float = 0.05) -> Ranks:
    """Rank the methods on every benchmark and average; ``cube`` is a compared one."""
    table = rank(cube.blocks(how))
    average = mean(table, 0)
    order = np.lexsort((np.array(cube.methods), average.round(9)))
    drawn = bootstrap.over_benchmarks(rank(summary(bootstrap.cells, how).swapaxes(1, 2)))
    low, high = bootstrap.of_methods(drawn)
    table, average = table[:, order], average[order]
    test = friedman(cube.independent_blocks(how))
    return Ranks(
        how=how,
        methods=tuple(cube.methods[m] for m in order),
        benchmarks=cube.benchmarks,
        ranks=table,
        average=average,
        low=low[order],
        high=high[order],
        friedman=test,
        nemenyi=nemenyi(average, cube.independent),
        critical_difference=critical_difference(len(average), cube.independent, alpha) if test else math.nan,
    )


def friedman(blocks: Float[np.ndarray, "blocks methods"]) -> Friedman | None:
    """None for less than three methods or two blocks, or if all scores are equal."""
    n, k = blocks.shape
    if k < 3 or n < 2 or np.isnan(blocks).any() or (blocks == blocks[:, :1]).all():
        return None
    chi2, p = map(float, stats.friedmanchisquare(*blocks.T))
    rest = n * (k - 1) - chi2
    f = (n - 1) * chi2 / rest if rest > 1e-9 else math.inf
    return Friedman(chi2, p, f, float(stats.f.sf(f, k - 1, (k - 1) * (n - 1))), k, n)


def nemenyi(average: Float[np.ndarray, " methods"], blocks: float) -> Float[np.ndarray, "methods methods"]:
    """Two-sided p of every pair: the studentised range of √2·|Rᵢ − Rⱼ| / √(k(k+1)/6n). Blind to ties, as usual."""
    k = len(average)
    if k < 2:
        return np.ones((k, k))
    distance = np.abs(average[:, None] - average[None]) / math.sqrt(k * (k + 1) / (6 * blocks))
    p = np.ones((k, k))
    i, j = np.triu_indices(k, 1)
    p[i, j] = p[j, i] = np.clip(stats.studentized_range.sf(distance[i, j] * math.sqrt(2), k, np.inf), 0, 1)
    return p


def critical_difference(methods: int, blocks: float, alpha: float = 0.05) -> float:
    """q_α/√2 · √(k(k+1)/6n)."""
    q = float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * blocks))


def groups(average: Float[np.ndarray, " methods"], distance: float) -> list[tuple[int, int]]:
    """Of sorted averages all longest stretches within ``distance``, at least two long; none if it is NaN."""
    if math.isnan(distance):
        return []
    last = np.searchsorted(average, average + distance + 1e-9, side="right") - 1
    stretches = [(first, int(end)) for first, end in enumerate(last) if end > first]
    return [(a, b) for i, (a, b) in enumerate(stretches) if i == 0 or b > stretches[i - 1][1]]
