"""Two methods at a time: is one better, by how much, how surely."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import stats

from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import DIGITS, Cube, deviation, mean


@dataclass(frozen=True)
class Pair:
    """``first`` against ``second``; what cannot be told is NaN.

    ``difference``: of the mean scores, in points, with its bootstrap interval (of this pair alone, not corrected).
    ``wins``, ``ties``, ``losses``: benchmarks, of which those that score the same searches are one, here and in the
    tests. The p-values are two-sided and Holm-corrected over all pairs:
    ``p_benchmarks`` is Wilcoxon's signed-rank test over the benchmarks (would it hold on others?), ``p_searches`` a
    stratified Welch test over the searches (does it hold on these?), ``p_cells`` Wilcoxon's over all benchmarks'
    settings, which share genotypes: too small, for comparison only. ``improvement``: probability that a search of the
    first beats one of the second, ties half, averaged over benchmarks and settings, with an interval unless
    all comparisons came out the same. ``hedges_g``: difference in standard deviations of a search, mean over the
    benchmarks.
    ``paired_d``: mean of the benchmarks' differences in their own standard deviations.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    p_benchmarks: float
    p_searches: float
    p_cells: float
    improvement: float
    improvement_low: float
    improvement_high: float
    hedges_g: float
    paired_d: float

    @property
    def cliff_delta(self) -> float:
        """P(first > second) − P(first < second), in −1 … 1."""
        return 2 * self.improvement - 1


def pairs(cube: Cube, bootstrap: Bootstrap) -> list[Pair]:
    """Every pair of a compared cube, the first named being the earlier method of the cube."""
    blocks = cube.independent_blocks()
    drawn = bootstrap.over_benchmarks(mean(bootstrap.cells, -1).swapaxes(1, 2))
    cells = cube.by_stratum(cube.cells).reshape(len(cube.methods), -1)
    cells = cells[:, ~np.isnan(cells).any(0)]
    chosen = list(itertools.combinations(range(len(cube.methods)), 2))
    strata = cube.by_stratum(cube.runs)
    found = [_pair(cube, bootstrap, blocks, cells, strata, drawn, i, j) for i, j in chosen]
    for name in ("p_benchmarks", "p_searches", "p_cells"):
        corrected = holm([getattr(pair, name) for pair in found])
        changes: list[dict[str, Any]] = [{name: float(p)} for p in corrected]
        found = [replace(pair, **change) for pair, change in zip(found, changes, strict=True)]
    return found


def smallest_p(blocks: int, comparisons: int = 1) -> float:
    """The least that Wilcoxon's exact two-sided test over so many blocks can give, Bonferroni-Holm for the first pair.

    >>> round(smallest_p(9, 21), 3)  # 7 methods on 9 benchmarks: no pair can be significant
    0.082
    """
    return min(1.0, comparisons * 2.0 ** (1 - blocks))


def _pair(
    cube: Cube,
    bootstrap: Bootstrap,
    blocks: Float[np.ndarray, "strata methods"],
    cells: Float[np.ndarray, "methods cells"],
    strata: Float[np.ndarray, "methods strata searches"],
    drawn: Float[np.ndarray, "resamples methods"],
    i: int,
    j: int,
) -> Pair:
    by_benchmark = np.round(blocks[:, i] - blocks[:, j], DIGITS)
    low, high = np.where(bootstrap.unknown[[i, j]].any(), np.nan, bootstrap.interval(drawn[:, i] - drawn[:, j]))
    improvement = probability_of_improvement(cube, bootstrap, i, j)
    spread = float(by_benchmark.std(ddof=1)) if len(by_benchmark) > 1 else 0.0
    return Pair(
        first=cube.methods[i],
        second=cube.methods[j],
        difference=float(cube.weights @ by_benchmark),
        low=float(low),
        high=float(high),
        wins=int((by_benchmark > 0).sum()),
        ties=int((by_benchmark == 0).sum()),
        losses=int((by_benchmark < 0).sum()),
        p_benchmarks=wilcoxon(by_benchmark),
        p_searches=stratified_welch(strata[i], strata[j], cube.weights),
        p_cells=wilcoxon(cells[i] - cells[j]),
        improvement=improvement[0],
        improvement_low=improvement[1],
        improvement_high=improvement[2],
        hedges_g=hedges_g(cube.runs[i], cube.runs[j]),
        paired_d=float(by_benchmark.mean() / spread) if spread > 0 else math.nan,
    )


def wilcoxon(differences: Float[np.ndarray, " blocks"]) -> float:
    """Wilcoxon's signed-rank test; equal scores are left out, and if all are equal p is 1."""
    if not differences.any():
        return 1.0 if len(differences) else math.nan
    return float(stats.wilcoxon(differences).pvalue)


def holm(p: Sequence[float]) -> Float[np.ndarray, " tests"]:
    """Holm's step-down correction; NaN stays NaN and does not count as a test.

    *Source:* Holm, Scand. J. Statist. 6 (1979): the i-th smallest of m is multiplied by m − i + 1, then made monotone.
    """
    values = np.array(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    values[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return values


def stratified_welch(
    first: Float[np.ndarray, "strata searches"],
    second: Float[np.ndarray, "strata searches"],
    weights: Float[np.ndarray, " strata"] | None = None,
) -> float:
    """Two-sided p of the difference of the means over strata, its variance being that of the searches within each.

    The strata are taken as given: Σ_s w_s²(v₁/n₁ + v₂/n₂), degrees of freedom after Satterthwaite; ``weights`` are
    equal by default. NaN if some stratum has a single search, or if all of each method's searches are equal but the
    methods are not: that no noise was seen does not say how much there is.
    """
    means = [mean(x, -1) for x in (first, second)]
    number = np.stack([(~np.isnan(x)).sum(-1) for x in (first, second)])
    if (number < 2).any():
        return math.nan
    share = np.full(len(first), 1 / len(first)) if weights is None else weights
    variance = share**2 * np.stack([deviation(x, -1) ** 2 for x in (first, second)]) / number
    total = variance.sum()
    difference = float((share * (means[0] - means[1])).sum())
    if total <= 0:
        return 1.0 if difference == 0 else math.nan
    freedom = total**2 / (variance**2 / (number - 1)).sum()
    return float(2 * stats.t.sf(abs(difference) / math.sqrt(total), freedom))


def hedges_g(
    first: Float[np.ndarray, "benchmarks searches"], second: Float[np.ndarray, "benchmarks searches"]
) -> float:
    """Difference over √((v₁ + v₂)/2), averaged over the benchmarks where it is defined.

    With the factor 1 − 3/(4(n₁ + n₂ − 2) − 1) of Hedges, J. Educ. Statist. 6 (1981), without which it is far too large
    for two or three searches.
    """
    pooled = np.sqrt((deviation(first, -1) ** 2 + deviation(second, -1) ** 2) / 2)
    difference = mean(first, -1) - mean(second, -1)
    freedom = sum((~np.isnan(x)).sum(-1) for x in (first, second)) - 2
    defined = pooled > 0
    if not defined.any():
        return math.nan
    return float((difference / np.where(defined, pooled, 1) * (1 - 3 / (4 * freedom - 1)))[defined].mean())


def probability_of_improvement(cube: Cube, bootstrap: Bootstrap, i: int, j: int) -> tuple[float, float, float]:
    """P(i beats j), ties half, averaged over benchmarks, and its interval.

    The interval is that of a U-statistic (DeLong et al., Biometrics 44 (1988)), every search being one draw with all
    its settings, and NaN where all comparisons come out the same; without repetitions it is bootstrapped over the
    benchmarks. *Source:* Agarwal et al., 2108.13264.
    """
    x, y = cube.scores[i], cube.scores[j]
    values, parts = [], []
    for b in range(len(cube.benchmarks)):
        ahead, behind = np.full_like(x[b], np.nan), np.full_like(y[b], np.nan)
        for h in range(len(cube.settings)):
            here, there = ~np.isnan(x[b, h]), ~np.isnan(y[b, h])
            if here.any() and there.any():
                ahead[h, here] = _beaten(x[b, h, here], y[b, h, there])
                behind[h, there] = 1 - _beaten(y[b, h, there], x[b, h, here])
        values.append(float(mean(mean(ahead, -1), 0)))
        parts.append([mean(part, 0) for part in (ahead, behind)])
    average = float(np.nanmean(values))
    if bootstrap.over == "benchmarks":
        low, high = bootstrap.interval(bootstrap.over_benchmarks(np.array(values)[None]))
        return average, float(low), float(high)
    each = cube.by_stratum(np.array(parts).swapaxes(0, 1))
    variance = float((cube.weights**2 * deviation(each, -1) ** 2 / np.maximum((~np.isnan(each)).sum(-1), 1)).sum())
    if not variance > 0 or bootstrap.unknown[[i, j]].any():
        return average, math.nan, math.nan
    reach = float(stats.norm.ppf(0.5 + bootstrap.confidence / 2)) * math.sqrt(variance)
    return average, max(0.0, average - reach), min(1.0, average + reach)


def _beaten(mine: Float[np.ndarray, " mine"], theirs: Float[np.ndarray, " theirs"]) -> Float[np.ndarray, " mine"]:
    """For each of mine the share of theirs that is lower, equal ones half."""
    ordered = np.sort(theirs)
    below = np.searchsorted(ordered, mine, side="left") + np.searchsorted(ordered, mine, side="right")
    return np.asarray(below / (2 * len(theirs)))
