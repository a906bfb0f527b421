"""One number per method: mean, interquartile mean, median, optimality gap, regret, each with a bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube, mean

MEANINGS = {
    "Mean": "mean score, all benchmarks weighing the same",
    "IQM": "mean of the middle half of all normalised scores (0 worst, 1 best method)",
    "Median": "median of all normalised scores",
    "Optimality gap": "how far a method's normalised scores lie below 1 in the mean: 0 best, 1 worst everywhere",
    "Regret": "how far a method lies behind the best one in the mean",
}
CHUNK = 4_000_000  # weights that are sorted at once
EQUAL = 1e-6  # points; methods closer together are the same, and no scale from worst to best


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
    return np.where(width > EQUAL, scaled, np.where(np.isnan(cube.scores), np.nan, 0.5))


def aggregates(cube: Cube, bootstrap: Bootstrap) -> list[Aggregate]:
    """The aggregates of a compared cube, methods in its order; all benchmarks weigh the same.

    *Source:* Agarwal et al., 2108.13264. *Differs:* scores are normalised between the worst and the best method, since
    accuracies have no human or random anchor; the optimality gap is that to the best method, of a method's means: of
    single searches even the best method would have one.
    """
    measured, drawn = _of_cells(cube.cells[None]), _of_cells(bootstrap.cells)
    samples = {name: (mean(measured[name], 1)[0], bootstrap.over_benchmarks(drawn[name])) for name in measured}
    samples |= _of_searches(cube, bootstrap)
    result = []
    for name, meaning in MEANINGS.items():
        values, resampled = samples[name]
        low, high = bootstrap.of_methods(resampled)
        lower_is_better = name in ("Optimality gap", "Regret")
        if name == "Mean" and cube.sign < 0:
            values, low, high, lower_is_better = cube.shown(values), cube.shown(high), cube.shown(low), True
        result.append(Aggregate(name, meaning, values, low, high, lower_is_better))
    return result


def _of_cells(
    cells: Float[np.ndarray, "resamples methods benchmarks settings"],
) -> dict[str, Float[np.ndarray, "resamples benchmarks methods"]]:
    """What follows from the methods' means, per benchmark."""
    below = cells.max(1, keepdims=True) - cells
    width = below.max(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(width > EQUAL, below / width, np.where(np.isnan(cells), np.nan, 0.5))
    values = {"Mean": cells, "Optimality gap": gap, "Regret": below}
    return {name: mean(value, -1).swapaxes(1, 2) for name, value in values.items()}


def _of_searches(
    cube: Cube, bootstrap: Bootstrap
) -> dict[str, tuple[Float[np.ndarray, " methods"], Float[np.ndarray, "resamples methods"]]]:
    """Interquartile mean and median of the normalised scores of all searches: the measured one, and every resample.

    A search that several benchmarks score counts once, with the mean of its normalised scores.
    """
    unit = cube.by_stratum(normalised(cube))
    settings = (~np.isnan(unit)).any(-1).sum(-1)
    first = [cube.strata.index(stratum) for stratum in range(len(cube.weights))]
    measured, drawn = [], []
    for m in range(len(cube.methods)):
        ordered = _Ordered.of(unit[m])
        # A weight of 1 for every score where all benchmarks have as many.
        per_stratum = len(ordered.values) * cube.weights / np.maximum(settings[m], 1)
        measured.append(ordered.statistics(cube.shares[m][None, first] * per_stratum[:, None]))
        shares = bootstrap.shares(m)[:, first]
        step = max(1, CHUNK // max(len(ordered.values), 1))
        parts = [ordered.statistics(shares[i : i + step] * per_stratum[:, None]) for i in range(0, len(shares), step)]
        drawn.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return {
        name: (np.array([one[name][0] for one in measured]), np.stack([one[name] for one in drawn], 1))
        for name in measured[0]
    }


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Scores in ascending order with their benchmark and search: resamples are weights, nothing is sorted again."""

    values: Float[np.ndarray, " values"]
    benchmark: Int[np.ndarray, " values"]
    search: Int[np.ndarray, " values"]

    @classmethod
    def of(cls, scores: Float[np.ndarray, "strata settings searches"]) -> _Ordered:
        b, _, s = np.nonzero(~np.isnan(scores))
        values = scores[~np.isnan(scores)]
        order = np.argsort(values, kind="stable")
        return cls(values[order], b[order], s[order])

    def statistics(
        self, weights: Float[np.ndarray, "resamples strata searches"]
    ) -> dict[str, Float[np.ndarray, " resamples"]]:
        """The mean without the lowest and highest ⌊n/4⌋, as scipy's ``trim_mean(…, 0.25)``, and the median.

        The weights of all n values sum to n.
        """
        ends = weights[:, self.benchmark, self.search].cumsum(-1, dtype=np.float64)  # values up to each one
        n = len(self.values)
        return {name: self._between(ends, cut, n - cut) for name, cut in (("IQM", n // 4), ("Median", (n - 1) // 2))}

    def _between(
        self, ends: Float[np.ndarray, "resamples values"], low: int, high: int
    ) -> Float[np.ndarray, " resamples"]:
        """Mean of the low-th to high-th value: Σ(eᵢ − eᵢ₋₁)vᵢ of clipped ends, summed by parts."""
        last, first = self.values[-1], self.values[0]
        clipped = np.clip(ends, low, high)
        total = high * last - low * first - clipped[:, :-1] @ np.diff(self.values)
        return np.asarray(total / (high - low))
