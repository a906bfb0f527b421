"""One number per method: mean, interquartile mean, median, optimality gap, regret, each with a bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube

MEANINGS = {
    "Mean": "mean score, all benchmarks' settings weighing the same",
    "IQM": "mean of the middle half of the normalised scores (0 worst, 1 best method)",
    "Median": "median of the normalised scores",
    "Optimality gap": "mean distance of the normalised scores below the best method",
    "Regret": "mean distance below the best method, in points",
}
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
    regret = np.maximum(cube.cells.max(0)[None, ..., None] - cube.scores, 0)
    averaged = {"Mean": cube.scores, "Optimality gap": np.maximum(1 - unit, 0), "Regret": regret}
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in MEANINGS}
    for m in range(len(cube.methods)):
        weights, once = bootstrap.weights(m), cube.present[m][None].astype(np.float32)
        measured = {name: _mean(scores[m], once) for name, scores in averaged.items()}
        drawn = {name: _mean(scores[m], weights) for name, scores in averaged.items()}
        ordered = _Ordered.of(unit[m])
        step = max(1, CHUNK // max(len(ordered.values), 1))
        measured |= ordered.statistics(once)
        parts = [ordered.statistics(weights[i : i + step]) for i in range(0, len(weights), step)]
        drawn |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for name, found in samples.items():
            low, high = bootstrap.interval(drawn[name])
            found.append((float(measured[name][0]), float(low), float(high)))
    result = []
    for name, found in samples.items():
        values, low, high = np.array(found).T
        result.append(Aggregate(name, MEANINGS[name], values, low, high, name in ("Optimality gap", "Regret")))
    return result


def _mean(
    scores: Float[np.ndarray, "benchmarks settings searches"],
    weights: Float[np.ndarray, "resamples benchmarks searches"],
) -> Float[np.ndarray, " resamples"]:
    there = ~np.isnan(scores)
    flat = weights.reshape(len(weights), -1)
    total = flat @ np.where(there, scores, 0.0).sum(1).ravel()
    number = flat @ there.sum(1).ravel()
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Scores in ascending order with their benchmark and search: resamples are weights, nothing is sorted again."""

    values: Float[np.ndarray, " values"]
    benchmark: Int[np.ndarray, " values"]
    search: Int[np.ndarray, " values"]

    @classmethod
    def of(cls, scores: Float[np.ndarray, "benchmarks settings searches"]) -> _Ordered:
        b, _, s = np.nonzero(~np.isnan(scores))
        values = scores[~np.isnan(scores)]
        order = np.argsort(values, kind="stable")
        return cls(values[order], b[order], s[order])

    def statistics(
        self, weights: Float[np.ndarray, "resamples benchmarks searches"]
    ) -> dict[str, Float[np.ndarray, " resamples"]]:
        """The mean without the lowest and highest ⌊n/4⌋, as scipy's ``trim_mean(…, 0.25)``, and the median."""
        ends = weights[:, self.benchmark, self.search].cumsum(-1, dtype=np.float64)  # values up to each one
        cuts = {"IQM": np.floor(0.25 * ends[:, -1]), "Median": np.floor((ends[:, -1] - 1) / 2)}
        return {name: self._between(ends, cut, ends[:, -1] - cut) for name, cut in cuts.items()}

    def _between(
        self,
        ends: Float[np.ndarray, "resamples values"],
        low: Float[np.ndarray, " resamples"],
        high: Float[np.ndarray, " resamples"],
    ) -> Float[np.ndarray, " resamples"]:
        """Mean of the low-th to high-th value: Σ(eᵢ − eᵢ₋₁)vᵢ of clipped ends, summed by parts."""
        last, first = self.values[-1], self.values[0]
        clipped = np.clip(ends, low[:, None], high[:, None])
        total = clipped[:, -1] * last - low * first - clipped[:, :-1] @ np.diff(self.values)
        return np.asarray(np.where(high > low, total / np.maximum(high - low, 1), np.nan))
