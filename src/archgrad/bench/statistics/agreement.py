"""Do two benchmarks, or two settings, rank the methods the same way? Kendall's τ, which exposes reversals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube, mean

SPLITS = 200  # random halvings of the searches


class Halves(NamedTuple):
    """Mean τ between halves of the searches: of one and the same benchmark, and of two different ones.

    ``if_same``: what the latter would be if the true rankings were the same, see `same_ranking`.
    """

    same: float
    different: float
    if_same: float


@dataclass(frozen=True, eq=False)
class Agreement:
    """τ-b between the rankings of any two of ``names``: 1 the same, 0 unrelated, −1 reversed; NaN if all are tied.

    ``low``, ``high``: interval, and ``over`` what it is about: of searches, it is that of the τ of rankings by as many
    searches, whose noise brings every τ closer to 0. ``p``: of τ = 0, exact for few methods, uncorrected.
    ``halves``: τ between a random half of one's searches and the other half of another's; on the diagonal of its own,
    which says how much of the disagreement is noise. None without repetitions.
    """

    names: tuple[str, ...]
    tau: Float[np.ndarray, "names names"]
    low: Float[np.ndarray, "names names"]
    high: Float[np.ndarray, "names names"]
    p: Float[np.ndarray, "names names"]
    over: str
    halves: Float[np.ndarray, "names names"] | None = None

    @property
    def average(self) -> float:
        """Mean τ over all pairs, NaN for less than two names."""
        return _average(self.tau[np.triu_indices(len(self.names), 1)])

    @property
    def half_averages(self) -> Halves:
        """Mean τ of halves; NaN if unknown."""
        if self.halves is None:
            return Halves(math.nan, math.nan, math.nan)
        own, pairs = np.diag(self.halves), np.triu_indices(len(self.names), 1)
        return Halves(_average(own), _average(self.halves[pairs]), _average(same_ranking(own)[pairs]))

    @property
    def extremes(self) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """The pairs with the lowest and the highest τ."""
        i, j = np.triu_indices(len(self.names), 1)
        off = self.tau[i, j]
        if not len(off) or np.isnan(off).all():
            return None
        low, high = int(np.nanargmin(off)), int(np.nanargmax(off))
        return (int(i[low]), int(j[low])), (int(i[high]), int(j[high]))


def same_ranking(own: Float[np.ndarray, " names"]) -> Float[np.ndarray, "names names"]:
    """τ between halves of two benchmarks with the same true means, from τ between halves of each one's own.

    Noise alone brings halves apart, and more so on one benchmark than on another: their correlation is the root of the
    product of the benchmarks' own (Spearman's attenuation, Am. J. Psychol. 15, 1904), where r = sin(πτ/2) (Greiner).
    The mean of unequal numbers is larger than their root: it would show a reversal where there is none.
    """
    root = np.sqrt(np.sin(np.pi / 2 * own.clip(0)))
    return np.asarray(2 / np.pi * np.arcsin(np.outer(root, root)))


def tau(scores: Float[np.ndarray, "*batch names methods"]) -> Float[np.ndarray, "*batch names names"]:
    """Kendall's τ-b between all rows: concordant minus discordant pairs over √(untied pairs of one · of the other)."""
    first, second = np.triu_indices(scores.shape[-1], 1)
    sign = np.sign(scores[..., first] - scores[..., second])
    untied = np.sqrt((sign**2).sum(-1))
    size = untied[..., :, None] * untied[..., None, :]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = sign @ sign.swapaxes(-1, -2) / size
    return np.asarray(np.where(size > 0, np.round(value, 12), np.nan))


def between_benchmarks(cube: Cube, bootstrap: Bootstrap) -> Agreement:
    """Rankings of the benchmarks by the mean over their settings.

    Two benchmarks that score the same searches share their luck: their τ has no p, and no interval over methods.
    Without repeated searches the interval takes the methods as a sample of methods: Fisher's z with variance
    0.437/(M − 4) (Bonett and Wright, Psychometrika 65 (2000)); there is none for less than five.
    """
    value, same = tau(cube.blocks()), np.equal.outer(cube.strata, cube.strata)
    if bootstrap.over == "benchmarks":
        low, high = bonett_wright(value, len(cube.methods), bootstrap.confidence)
        over = "methods"
        low[same], high[same] = np.nan, np.nan
    else:
        drawn = tau(mean(bootstrap.cells, -1).swapaxes(1, 2))
        (low, high), over = bootstrap.interval(drawn), bootstrap.over
        np.fill_diagonal(low, 1.0)
        np.fill_diagonal(high, 1.0)
    p = np.where(same, np.nan, _p(cube.blocks()))
    return Agreement(cube.benchmarks, value, low, high, p, over, _halves(cube, bootstrap.seed))


def between_settings(cube: Cube, bootstrap: Bootstrap) -> Agreement:
    """τ between two settings within every benchmark, averaged over the benchmarks."""
    measured = tau(cube.cells.transpose(1, 2, 0))
    drawn = tau(bootstrap.cells.transpose(0, 2, 3, 1)) if bootstrap.over != "benchmarks" else measured[None]
    low, high = bootstrap.interval(bootstrap.over_benchmarks(drawn))
    unknown = np.full(low.shape, np.nan)
    return Agreement(cube.settings, mean(measured, 0), low, high, unknown, bootstrap.over)


def bonett_wright(
    value: Float[np.ndarray, " *shape"], methods: int, confidence: float = 0.95
) -> tuple[Float[np.ndarray, " *shape"], Float[np.ndarray, " *shape"]]:
    """Interval of τ over so many methods by Fisher's z; NaN for less than five, and for ±1, where z is infinite."""
    if methods < 5:
        return np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    reach = float(stats.norm.ppf(0.5 + confidence / 2)) * math.sqrt(0.437 / (methods - 4))
    z = np.arctanh(np.where(np.abs(value) < 1, value, np.nan))
    return np.tanh(z - reach), np.tanh(z + reach)


def _p(blocks: Float[np.ndarray, "names methods"]) -> Float[np.ndarray, "names names"]:
    result = np.full((len(blocks), len(blocks)), np.nan)
    for i, j in zip(*np.triu_indices(len(blocks), 1), strict=True):
        if blocks.shape[1] > 1:
            result[i, j] = result[j, i] = stats.kendalltau(blocks[i], blocks[j]).pvalue
    return result


def _halves(cube: Cube, seed: int) -> Float[np.ndarray, "benchmarks benchmarks"] | None:
    """Split-half τ, mean over random splits; NaN where a method has a single search."""
    if not cube.replicated:
        return None
    generator = np.random.default_rng([seed, 99])
    there = ~np.isnan(cube.runs)
    number = there.sum(-1)
    keys = generator.random((SPLITS, *there.shape))[:, :, list(cube.strata)]
    place = np.where(there, keys, np.inf).argsort(-1).argsort(-1)
    lower = place < (number // 2)[..., None]
    halves = [mean(np.where(half & there, cube.runs, np.nan), -1).swapaxes(1, 2) for half in (lower, ~lower)]
    size = len(cube.benchmarks)
    value = mean(tau(np.concatenate(halves, 1))[:, :size, size:], 0)
    known = number.min(0) >= 2
    return np.where(known[:, None] & known, (value + value.T) / 2, np.nan)


def _average(values: Float[np.ndarray, " n"]) -> float:
    return float(mean(values, -1)) if len(values) else math.nan
