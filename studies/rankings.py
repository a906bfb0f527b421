"""Results and tables of docs/studies/rankings.md, from the searches of docs/studies/search_worth.md.

python studies/rankings.py power     # the power that the plan states
python studies/rankings.py page      # studies/results/search_worth.parquet → the tables of the page
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from common import kept_whole, put, run, table, within
from jaxtyping import Float

from archgrad import spaces, tables
from archgrad.bench.statistics.agreement import same_ranking, tau

PAGE, CAMPAIGN = "rankings.md", "search_worth_234"
COLUMNS = {
    f"{title}, {epochs} epochs": f"{name}_test_{epochs}"
    for epochs in (200, 12)
    for title, name in (("CIFAR-10", "cifar10"), ("CIFAR-100", "cifar100"), ("ImageNet16-120", "in16"))
}
BASELINES = ("random_search", "random_genotype")
SPLITS, FEW = 200, 50
"""Divisions of the seeds in halves: of the searches, and of simulated ones."""
DRAWS = 999
RELIABLE = 0.9


class Agreement(NamedTuple):
    """Mean Kendall τ between the halves of the searches: of one benchmark, of two, and what the latter lacks."""

    within: float
    between: float
    shortfall: float
    """Of what it would be if the true rankings were the same."""


def agreement(
    scores: Float[np.ndarray, "benchmarks methods seeds"], rng: np.random.Generator, splits: int = SPLITS
) -> Agreement:
    """Over random divisions of the seeds in two halves, of which no search is in both."""
    orders = rng.permuted(np.tile(np.arange(scores.shape[-1]), (splits, 1)), axis=1)
    halves = [np.stack([scores[..., seeds].mean(-1) for seeds in half]) for half in np.array_split(orders, 2, axis=1)]
    size = len(scores)
    mean = tau(np.concatenate(halves, -2))[..., :size, size:].mean(0)
    own, other = np.diag(mean), ~np.eye(size, dtype=bool)
    return Agreement(float(own.mean()), float(mean[other].mean()), float((same_ranking(own) - mean)[other].mean()))


class Compared(NamedTuple):
    """What two benchmarks agree by: the numbers, their 95 % intervals, and p of the same true ranking on all."""

    found: Agreement
    ends: list[tuple[float, float]]
    p: float


def compared(
    scores: Float[np.ndarray, "benchmarks methods seeds"], shared: bool, rng: np.random.Generator, draws: int = DRAWS
) -> Compared:
    """Intervals and test by simulated searches, whose noise is that of the searches of the same method.

    ``shared``: all benchmarks score the same searches. The true means are, for the intervals, those that were found,
    and for the test the same on all benchmarks, as far apart on each as they are there; both less what noise adds.
    p is one-sided: how often as much is missing where nothing is.
    """
    found = agreement(scores, rng)
    seeds, middle = scores.shape[-1], scores.mean(-1)
    noise = scores - middle[..., None]
    noise *= (seeds / (seeds - 1)) ** 0.5
    centre = middle.mean(1, keepdims=True)
    variance = middle.var(1, ddof=1, keepdims=True)
    spread = np.sqrt((variance - (noise**2).mean((1, 2))[:, None] / seeds).clip(0))
    own = (middle - centre) / np.sqrt(variance)
    common = own.mean(0)
    simulated = [
        [agreement(_searches(centre + spread * order, noise, shared, rng), rng, splits=FEW) for _ in range(draws)]
        for order in (own, (common - common.mean()) / common.std(ddof=1))
    ]
    ends = [tuple(np.percentile(column, (2.5, 97.5))) for column in zip(*simulated[0], strict=True)]
    extreme = sum(one.shortfall >= found.shortfall for one in simulated[1])
    return Compared(found, ends, (extreme + 1) / (draws + 1))


def _searches(
    means: Float[np.ndarray, "benchmarks methods"],
    noise: Float[np.ndarray, "benchmarks methods seeds"],
    shared: bool,
    rng: np.random.Generator,
) -> Float[np.ndarray, "benchmarks methods seeds"]:
    """Searches with these true means, and with the noise of searches that are drawn with replacement."""
    benchmarks, methods, seeds = noise.shape
    drawn = rng.integers(seeds, size=(1 if shared else benchmarks, methods, seeds))
    return means[..., None] + np.take_along_axis(noise, np.broadcast_to(drawn, noise.shape), axis=-1)


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
    shared: bool = True,
    benchmarks: int = len(COLUMNS),
    methods: int = 13,
    seeds: int = 20,
    noise: float = 2.0,
    trials: int = 60,
) -> float:
    """How often the test rejects at 2.5 %, where true means correlate so much between benchmarks.

    Methods differ by a standard deviation of one point, seeds of a method by ``noise``: two points in the trials.
    """
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(trials):
        common, own = rng.normal(size=methods), rng.normal(size=(benchmarks, methods))
        means = correlation**0.5 * common + (1 - correlation) ** 0.5 * own
        luck = noise * rng.normal(size=(1 if shared else benchmarks, methods, seeds))
        hits += compared(means[..., None] + luck, shared, rng, draws=79).p <= 0.025
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
    put(PAGE, "agreement", agreements({title: scores[list(chosen)] for title, chosen in parts.items()}, shared=True))
    put(PAGE, "seeds", needs(dict(zip(titles, scores, strict=True))))


def agreements(parts: dict[str, Float[np.ndarray, "benchmarks methods seeds"]], shared: bool) -> str:
    """The table of agreement within and between the benchmarks of every part."""
    rows = []
    for title, scores in parts.items():
        found, ends, p = compared(scores, shared, np.random.default_rng(0))
        values = zip(found, ends, strict=True)
        rows.append([title, *(within(value, *each, ".2f") for value, each in values), f"{p:.3f}"])
    return table(("benchmarks", "τ within (95 %)", "τ between", "missing", "p"), rows)


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
