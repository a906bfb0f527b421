"""What training only the search with the lowest supernet loss, as published, hides and gains."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy import stats

from archgrad.bench.statistics.results import Results


@dataclass(frozen=True)
class Selection:
    """Over the benchmarks of a method, relative to the mean of its searches; more is better.

    ``chosen``: the search with the lowest supernet validation loss; ``best`` and ``worst``: by test score, which nobody
    can choose by. ``tau``: Kendall's τ between low loss and high score within a benchmark, mean over the benchmarks.
    """

    method: str
    benchmarks: int
    chosen: float
    best: float
    worst: float
    tau: float


def selection(results: Results) -> list[Selection]:
    """Methods with at least two searches, on some benchmark, whose loss is known (``extra["search_loss"]``).

    Of searches that were trained under different numbers of settings only those with the most count.
    """
    frame = results.frame[["method", "benchmark", "seed"]].assign(score=results.merit)
    losses = pd.Series([extra.get("search_loss") for extra in results.extras()], index=frame.index, dtype=object)
    frame["loss"] = pd.to_numeric(losses, errors="coerce")
    keys = ["method", "benchmark", "seed"]
    each = frame.dropna().groupby(keys, sort=False)
    searches = each[["score", "loss"]].mean().assign(units=each.size()).reset_index()
    result = []
    for method, ours in searches.groupby("method"):
        rows = []
        for _, whole in ours.groupby("benchmark"):
            found = whole[whole.units == whole.units.max()]
            if len(found) > 1:
                middle = float(found.score.mean())
                chosen = float(found.score.iloc[int(found.loss.argmin())])
                value = float(stats.kendalltau(-found.loss, found.score).statistic)
                rows.append((chosen - middle, found.score.max() - middle, found.score.min() - middle, value))
        if rows:
            means = [pd.Series(column, dtype="float64").mean() for column in zip(*rows, strict=True)]
            result.append(Selection(str(method), len(rows), *map(float, means)))
    return sorted(result, key=lambda s: (math.isnan(s.tau), -s.tau, s.method))
