"""One number per method: mean, interquartile mean, median, optimality gap, regret, each with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube

CHUNK = 4_000_000  # weights that are sorted at once


@dataclass(frozen=True, eq=False)
class Aggregate:
    """A number per method with its interval; ``lower_is_better`` for gaps."""

    name: str
    meaning: str
    values: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    lower_is_better: bool = False


def normalised(cube: Cube) -> Float[np.ndarray, "methods benchmarks settings searches"]:
    """Scores with 0 for the worst method's mean and 1 for the best's, per benchmark and setting; ½ if all are equal."""
    worst, best = cube.cells.min(0, keepdims=True), cube.cells.max(0, keepdims=True)
    width = (best - worst)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = (cube.scores - worst[..., None]) / width
    return np.where(width > 0, scaled, np.where(np.isnan(cube.scores), np.nan, 0.5))


def aggregates(cube: Cube, bootstrap: Bootstrap) -> list[Aggregate]:
    """The aggregates of a compared cube, methods in its order.

    *Source:* Agarwal et al., 2108.13264. *Differs:* scores are normalised between the worst and the best method, since
    accuracies have no human or random anchor; the optimality gap is therefore that to the best method, γ = 1.
    """
    unit = normalised(cube)
    missed = np.maximum(1 - unit, 0)
    regret = np.maximum(cube.cells.max(0)[None, ..., None] - cube.scores, 0)
    kinds = [
        ("Mean", "mean score, all benchmarks' settings weighing the same", cube.scores, _mean, False),
        ("IQM", "mean of the middle half of the normalised scores (0 worst, 1 best method)", unit, _iqm, False),
        ("Median", "median of the normalised scores", unit, _median, False),
        ("Optimality gap", "mean distance of the normalised scores below the best method", missed, _mean, True),
        ("Regret", "mean distance below the best method, in points", regret, _mean, True),
    ]
    result = []
    for name, meaning, scores, statistic, lower in kinds:
        measured, bounds = [], []
        for m in range(len(cube.methods)):
            values, weigh = _flat(scores[m])
            one = np.ones((1, *cube.present[m].shape)) * cube.present[m]
            measured.append(statistic(values, weigh(one))[0])
            weights = bootstrap.weights(m)
            step = max(1, CHUNK // len(values))
            drawn = [statistic(values, weigh(weights[i : i + step])) for i in range(0, len(weights), step)]
            bounds.append(bootstrap.interval(np.concatenate(drawn)))
        low, high = np.array(bounds).T
        result.append(Aggregate(name, meaning, np.array(measured), low, high, lower))
    return result


def _flat(
    scores: Float[np.ndarray, "benchmarks settings searches"],
) -> tuple[Float[np.ndarray, " values"], Callable[[Float[np.ndarray, "n b s"]], Float[np.ndarray, "n values"]]]:
    """The scores in ascending order, and a function that brings weights of searches into the same order."""
    b, _, s = np.nonzero(~np.isnan(scores))
    values = scores[~np.isnan(scores)]
    order = np.argsort(values, kind="stable")
    b, s = b[order], s[order]

    def weigh(weights: Float[np.ndarray, "resamples benchmarks searches"]) -> Float[np.ndarray, "resamples values"]:
        return np.asarray(weights[:, b, s])

    return values[order], weigh


def _mean(
    values: Float[np.ndarray, " values"], weights: Float[np.ndarray, "resamples values"]
) -> Float[np.ndarray, " resamples"]:
    total = weights.sum(-1, dtype=np.float64)
    return np.asarray(np.where(total > 0, weights @ values / np.maximum(total, 1), np.nan))


def _iqm(
    values: Float[np.ndarray, " values"], weights: Float[np.ndarray, "resamples values"]
) -> Float[np.ndarray, " resamples"]:
    """The mean without the lowest and highest ⌊n/4⌋, as scipy's ``trim_mean(…, 0.25)``."""
    total = weights.sum(-1, dtype=np.float64)
    cut = np.floor(0.25 * total)
    return _between(values, weights, cut, total - cut)


def _median(
    values: Float[np.ndarray, " values"], weights: Float[np.ndarray, "resamples values"]
) -> Float[np.ndarray, " resamples"]:
    total = weights.sum(-1, dtype=np.float64)
    cut = np.floor((total - 1) / 2)
    return _between(values, weights, cut, total - cut)


def _between(
    values: Float[np.ndarray, " values"],
    weights: Float[np.ndarray, "resamples values"],
    low: Float[np.ndarray, " resamples"],
    high: Float[np.ndarray, " resamples"],
) -> Float[np.ndarray, " resamples"]:
    """Mean of the low-th to high-th of sorted values that stand there as often as their weight says."""
    ends = np.clip(weights.cumsum(-1, dtype=np.float64), low[:, None], high[:, None])
    kept = np.diff(ends, axis=-1, prepend=low[:, None])
    return np.asarray(np.where(high > low, kept @ values / np.maximum(high - low, 1), np.nan))
