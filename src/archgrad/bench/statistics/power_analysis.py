"""How many searches would tell the two best methods apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from scipy import stats

from archgrad.bench.statistics.cube import Cube, deviation, mean
from archgrad.bench.statistics.pairwise import stratified_welch

MOST = 100_000
LEAST = 3  # searches: with two per method a test hardly knows the noise, and finds far less than it should
QUANTILES = (np.polynomial.legendre.leggauss(200)[0] + 1) / 2, np.polynomial.legendre.leggauss(200)[1] / 2
ASSUMED = (0.1, 0.2, 0.3, 0.5, 1.0)
"""Deviations of a search's score, in points, for which the answer is given where the real one is unknown."""


@dataclass(frozen=True)
class TopTwo:
    """The two best methods of a benchmark, or (``scope`` "all") of all by the mean over the benchmarks.

    ``deviation``: of one search's score, pooled over both, in points; NaN if nothing was repeated. ``p``: Welch's test
    with the ``searches`` there are. ``needed``: searches of each method (on each benchmark), `LEAST` or more, to find
    the measured difference with the wanted power in this one comparison; infinite for none or more than `MOST`. The
    measured difference of the two best tends to be too large, so that this is rather too few. ``assumed``: the same for
    each deviation in `ASSUMED`.
    """

    scope: str
    first: str
    second: str
    difference: float
    deviation: float
    searches: int
    p: float
    needed: float
    assumed: tuple[float, ...]


def top_two(cube: Cube, alpha: float = 0.05, wanted: float = 0.8) -> list[TopTwo]:
    """All benchmarks together, then each; nothing for a single method."""
    if len(cube.methods) < 2:
        return []
    scopes = [("all", np.arange(len(cube.benchmarks)))] if len(cube.benchmarks) > 1 else []
    scopes += [(name, np.array([b])) for b, name in enumerate(cube.benchmarks)]
    return [_top_two(cube, scope, chosen, alpha, wanted) for scope, chosen in scopes]


def _top_two(cube: Cube, scope: str, chosen: Int[np.ndarray, " blocks"], alpha: float, wanted: float) -> TopTwo:
    scores = cube.blocks()[chosen].mean(0)
    i, j = np.lexsort((np.array(cube.methods), -scores))[:2]
    if len(chosen) == len(cube.benchmarks):
        runs, weights = cube.by_stratum(cube.runs)[[i, j]], cube.weights
    else:
        runs, weights = cube.runs[[i, j]][:, chosen], np.ones(1)
    number, blocks = int((~np.isnan(runs)).sum(-1).min()), len(weights)
    difference = float(scores[i] - scores[j])
    # That of one search of a stratum, where all weigh the same.
    spread = (
        math.sqrt(blocks * float((weights**2 * mean(deviation(runs, -1) ** 2, 0)).sum())) if number > 1 else math.nan
    )
    return TopTwo(
        scope,
        cube.methods[i],
        cube.methods[j],
        difference,
        spread,
        number,
        stratified_welch(runs[0], runs[1], weights) if number > 1 else math.nan,
        needed(difference, spread, alpha=alpha, wanted=wanted, benchmarks=blocks),
        tuple(needed(difference, s, alpha=alpha, wanted=wanted, benchmarks=blocks) for s in ASSUMED),
    )


def power(difference: float, spread: float, searches: int, *, alpha: float = 0.05, benchmarks: int = 1) -> float:
    """Probability that the two-sided t-test over the searches, stratified by benchmark, finds the difference.

    Integrated over the estimated deviation: distribution functions of the noncentral t are NaN for some large shifts.
    """
    if spread <= 0:
        return 1.0 if difference else alpha
    freedom = benchmarks * 2 * (searches - 1)
    shift = abs(difference) / (spread * math.sqrt(2 / (searches * benchmarks)))
    points, weights = QUANTILES
    limit = float(stats.t.ppf(1 - alpha / 2, freedom)) * np.sqrt(stats.chi2.ppf(points, freedom) / freedom)
    return float(weights @ (stats.norm.sf(limit - shift) + stats.norm.cdf(-limit - shift)))


def needed(difference: float, spread: float, *, alpha: float = 0.05, wanted: float = 0.8, benchmarks: int = 1) -> float:
    """The least number of searches, from `LEAST`, with the wanted power; NaN if the spread is unknown.

    >>> needed(1.0, 1.0), needed(0.5, 1.0)  # Cohen (1988), table 2.4.1: 17 and 64
    (17, 64)
    """
    if math.isnan(spread):
        return math.nan
    if difference == 0 or power(difference, spread, MOST, alpha=alpha, benchmarks=benchmarks) < wanted:
        return math.inf
    low, high = LEAST - 1, LEAST
    while power(difference, spread, high, alpha=alpha, benchmarks=benchmarks) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        reached = power(difference, spread, middle, alpha=alpha, benchmarks=benchmarks) >= wanted
        low, high = (low, middle) if reached else (middle, high)
    return high
