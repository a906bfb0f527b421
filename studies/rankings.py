"""Results and tables of docs/studies/rankings.md, from the searches of docs/studies/search_worth.md.

python studies/rankings.py power     # the power that the plan states
python studies/rankings.py page      # studies/results/search_worth.parquet → the tables of the page
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from common import kept_whole, put, run, table, within
from jaxtyping import Float

from archgrad import spaces, tables
from archgrad.bench.statistics.agreement import tau

PAGE, CAMPAIGN = "rankings.md", "search_worth_234"
COLUMNS = {
    f"{title}, {epochs} epochs": f"{name}_test_{epochs}"
    for epochs in (200, 12)
    for title, name in (("CIFAR-10", "cifar10"), ("CIFAR-100", "cifar100"), ("ImageNet16-120", "in16"))
}
BASELINES = ("random_search", "random_genotype")
SPLITS, RESAMPLES = 200, 1000
RELIABLE = 0.9


class Agreement(NamedTuple):
    """Mean Kendall τ between the halves of the searches: of one benchmark, of two, and the difference."""

    within: float
    between: float

    @property
    def difference(self) -> float:
        return self.within - self.between


def agreement(scores: Float[np.ndarray, "benchmarks methods seeds"], rng: np.random.Generator) -> Agreement:
    """Over random divisions of the seeds in two halves, of which no search is in both."""
    orders = rng.permuted(np.tile(np.arange(scores.shape[-1]), (SPLITS, 1)), axis=1)
    return _of(
        [np.stack([scores[..., seeds].mean(-1) for seeds in half]) for half in np.array_split(orders, 2, axis=1)]
    )


def interval(
    scores: Float[np.ndarray, "benchmarks methods seeds"], rng: np.random.Generator
) -> list[tuple[float, float]]:
    """95 % percentile intervals of within, between and their difference.

    A resample divides the seeds first and then draws with replacement within each half, so that no search is in both.
    """
    found = []
    for _ in range(RESAMPLES):
        halves = [rng.choice(half, len(half)) for half in np.array_split(rng.permutation(scores.shape[-1]), 2)]
        one = _of([scores[..., half].mean(-1) for half in halves])
        found.append((*one, one.difference))
    return [tuple(np.percentile(column, (2.5, 97.5))) for column in zip(*found, strict=True)]


def _of(halves: Sequence[Float[np.ndarray, "*splits benchmarks methods"]]) -> Agreement:
    size = halves[0].shape[-2]
    every = tau(np.concatenate(halves, -2))[..., :size, size:]
    same = np.eye(size, dtype=bool)
    return Agreement(float(every[..., same].mean()), float(every[..., ~same].mean()))


def seeds_needed(scores: Float[np.ndarray, "methods seeds"]) -> tuple[float, float]:
    """The reliability of the methods' means, and the seeds at which it would be `RELIABLE`.

    One-way analysis of variance: reliability of a mean over n seeds is v/(v + e/n), with v the variance between methods
    and e that between seeds of a method (the intraclass correlation of Shrout and Fleiss, Psychol. Bull. 86, 1979).
    """
    seeds = scores.shape[1]
    error = float(scores.var(axis=1, ddof=1).mean())
    between = max(float(scores.mean(1).var(ddof=1)) - error / seeds, 0.0)
    reliability = between / (between + error / seeds)
    return reliability, (RELIABLE / (1 - RELIABLE)) * error / between if between else float("inf")


def looked_up(frame: pd.DataFrame) -> Float[np.ndarray, "benchmarks methods seeds"]:
    """The accuracies of what every search found, in every column; without the baselines."""
    space, published = spaces.get("nasbench201"), tables.load("nasbench201")
    frame = frame[(frame.campaign == CAMPAIGN) & (frame.benchmark == "cifar10") & ~frame.method.isin(BASELINES)]
    cells = frame.pivot(index="method", columns="seed", values="genotype")
    parsed = cells.map(space.parse)
    rows = np.vectorize(published.row)(parsed.to_numpy())
    return np.stack([published.values(column)[rows] for column in COLUMNS.values()])


def power(
    correlation: float,
    benchmarks: int = len(COLUMNS),
    methods: int = 13,
    seeds: int = 20,
    noise: float = 2.0,
    trials: int = 100,
) -> float:
    """How often the interval of the difference lies above 0, where true means correlate so much between benchmarks.

    Methods differ by a standard deviation of one point, seeds of a method by ``noise``: two points in the trials.
    """
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(trials):
        common, own = rng.normal(size=methods), rng.normal(size=(benchmarks, methods))
        means = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
        scores = means[..., None] + noise * rng.normal(size=(benchmarks, methods, seeds))
        hits += interval(scores, rng)[2][0] > 0
    return hits / trials


def page() -> None:
    """Write the tables of the page, once the campaign is whole."""
    scores = looked_up(kept_whole(CAMPAIGN, "search_worth"))
    titles = list(COLUMNS)
    parts = {
        "all six": range(6),
        "three data sets, 200 epochs": range(3),
        **{f"{titles[k].split(',')[0]}, 12 and 200 epochs": (k, k + 3) for k in range(3)},
    }
    put(PAGE, "agreement", agreements({title: scores[list(chosen)] for title, chosen in parts.items()}))
    put(PAGE, "seeds", needs(dict(zip(titles, scores, strict=True))))


def agreements(parts: dict[str, Float[np.ndarray, "benchmarks methods seeds"]]) -> str:
    """The table of agreement within and between the benchmarks of every part."""
    rows, rng = [], np.random.default_rng(0)
    for title, scores in parts.items():
        found, spread = agreement(scores, rng), interval(scores, rng)
        values = zip((*found, found.difference), spread, strict=True)
        rows.append([title, *(within(value, *ends, ".2f") for value, ends in values)])
    return table(("benchmarks", "τ within", "τ between", "difference (95 %)"), rows)


def needs(benchmarks: dict[str, Float[np.ndarray, "methods seeds"]]) -> str:
    """The table of how reliable the means of methods are, and what it would take."""
    seeds = next(iter(benchmarks.values())).shape[1]
    found = {title: seeds_needed(scores) for title, scores in benchmarks.items()}
    rows = ([title, f"{reliability:.2f}", f"{needed:.0f}"] for title, (reliability, needed) in found.items())
    return table(("benchmark", f"reliability of means over {seeds} seeds", f"seeds for {RELIABLE}"), rows)


def show_power() -> None:
    """The numbers of the plan."""
    for correlation in (0.0, 0.5, 0.8):
        print(f"true means correlate by {correlation}: {power(correlation):.2f}")


if __name__ == "__main__":
    run(__doc__, power=show_power, page=page)
