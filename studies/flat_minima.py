"""Results and tables of docs/studies/flat_minima.md.

python studies/flat_minima.py collect      # the campaign → studies/results/flat_minima.parquet
python studies/flat_minima.py page         # that file → the tables of the page
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from common import (
    corrected,
    difference_test,
    drawn,
    keep_found,
    kept_whole,
    mean_interval,
    p_value,
    put,
    run,
    table,
    within,
)
from jaxtyping import Float

from archgrad import spaces, tables

NAME, PAGE = "flat_minima", "flat_minima.md"
BASES = ("darts", "pc_darts", "gdas", "lambda_darts")
RHO = ("0.001", "0.01", "0.1")
PUBLISHED = "0.01"
GAINS = {"cifar10": 3.60, "cifar100": 4.60, "imagenet16": 3.64}
"""A²M's average gains in points (arXiv 2503.10404)."""
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}
ALIKE = 200
"""Cells of about the same accuracy, among which flatness is compared."""
RESAMPLES = 99_999


def scores(frame: pd.DataFrame, method: str, benchmark: str) -> Float[np.ndarray, " seeds"]:
    """What a method's cells are worth."""
    chosen = frame[(frame.method == method) & (frame.benchmark == benchmark)]
    return chosen.sort_values("seed").score.to_numpy()


def gain(frame: pd.DataFrame, base: str, rho: str, benchmark: str) -> tuple[float, float, float, float]:
    """A²M(base) less its base: the difference of means, its interval, and p."""
    return difference_test(scores(frame, f"a2m_{base}_{rho}", benchmark), scores(frame, base, benchmark), RESAMPLES)


def gains(frame: pd.DataFrame) -> str:
    """A²M(base) less its base, at every ρ and on every data set."""
    rows = []
    for benchmark, title in TITLES.items():
        found = {(base, rho): gain(frame, base, rho, benchmark) for base in BASES for rho in RHO}
        holm = corrected({base: found[base, PUBLISHED][3] for base in BASES})
        rows += [
            [title, base, f"{mean_interval(scores(frame, base, benchmark))[0]:.2f}",
             *(within(*found[base, rho][:3], "+.2f") for rho in RHO),
             p_value(holm[base])]
            for base in BASES
        ]  # fmt: skip
    return table(("data set", "base", "its mean, %", *(f"gain at ρ = {rho}" for rho in RHO), "p at 0.01, Holm"), rows)


def average_gain(frame: pd.DataFrame, benchmark: str) -> tuple[float, float, float]:
    """The gain at the published ρ, averaged over the bases, with its 95 % interval by Student's t over seeds."""
    each = [scores(frame, f"a2m_{base}_{PUBLISHED}", benchmark) - scores(frame, base, benchmark) for base in BASES]
    return mean_interval(np.mean(each, axis=0))


def verdict(low: float, high: float, published: float) -> str:
    """What an interval says of a published gain."""
    if low <= published <= high:
        return "undecided" if low <= 0 else "reproduced"
    return "not reproduced" if high < published else "larger"


def against_published(frame: pd.DataFrame) -> str:
    rows = []
    for benchmark, title in TITLES.items():
        mean, low, high = average_gain(frame, benchmark)
        published = GAINS[benchmark]
        rows.append(
            [title, f"+{published:.2f}", f"{mean:+.2f} ({low:+.2f} … {high:+.2f})", verdict(low, high, published)]
        )
    return table(("data set", "published gain", "ours (95 %)", ""), rows)


def flatness(frame: pd.DataFrame) -> str:
    """How flat it is around found cells; the test is stratified by base."""
    of, frame = surroundings(), frame[frame.benchmark == "cifar10"]

    def around(method: str) -> pd.DataFrame:
        return of.loc[frame[frame.method == method].genotype.dropna()]

    pairs = [(around(f"a2m_{base}_{PUBLISHED}"), around(base)) for base in BASES]
    rows = [
        [
            base,
            *(f"{part[column].mean():.{digits}f}" for column, digits in (("spread", 2), ("rank", 0)) for part in pair),
        ]
        for base, pair in zip(BASES, pairs, strict=True)
    ]
    observed, p = stratified([(flat["rank"].to_numpy(), plain["rank"].to_numpy()) for flat, plain in pairs])
    header = ("base", "std around A²M's cells, points", "around the base's", "its percentile, A²M's", "the base's")
    return table(header, rows) + f"\n\nMean difference of the percentiles: {observed:+.1f}, p: {p_value(p)}."


def surroundings() -> pd.DataFrame:
    """Every cell without ``none``, by its notation: ``spread`` and ``rank`` of its neighbours without ``none``.

    ``spread``: the standard deviation of their accuracies, in points. ``rank``: its percentile among the `ALIKE` cells
    that are most alike in accuracy. Good cells have flat neighbourhoods whatever they were found by.
    """
    space, looked_up = spaces.get("nasbench201"), tables.load("nasbench201")
    accuracies = looked_up.values("cifar10_test_200")
    texts = {text: row for row in range(len(looked_up)) if "none" not in (text := looked_up.text(row))}
    near = {
        text: [texts[each] for cell in space.neighbours(space.parse(text)) if (each := space.format(cell)) in texts]
        for text in texts
    }
    frame = pd.DataFrame(
        {"accuracy": accuracies[list(texts.values())], "spread": [accuracies[rows].std() for rows in near.values()]},
        index=list(texts),
    ).sort_values("accuracy")
    first = np.clip(np.arange(len(frame)) - ALIKE // 2, 0, len(frame) - ALIKE)
    windows = np.lib.stride_tricks.sliding_window_view(frame.spread.to_numpy(), ALIKE)[first]
    own = frame.spread.to_numpy()[:, None]
    return frame.assign(rank=100 * ((windows < own).mean(1) + (windows == own).mean(1) / 2))


def stratified(pairs: list[tuple[np.ndarray, ...]], resamples: int = RESAMPLES) -> tuple[float, float]:
    """The mean over strata of mean(a) − mean(b), and its two-sided p-value when labels are exchanged within strata."""
    rng = np.random.default_rng(0)
    observed = float(np.mean([a.mean() - b.mean() for a, b in pairs]))
    total = np.zeros(resamples)
    for a, b in pairs:
        both = np.concatenate([a, b])
        shuffled = rng.permuted(np.broadcast_to(both, (resamples, len(both))).copy(), axis=1)
        total += shuffled[:, : len(a)].mean(1) - shuffled[:, len(a) :].mean(1)
    extreme = np.abs(total / len(pairs)) >= abs(observed) - 1e-12
    return observed, float((extreme.sum() + 1) / (resamples + 1))


def page() -> None:
    """Write the tables of the page from the kept results, once all of them are there."""
    frame = kept_whole(NAME)
    put(PAGE, "gains", gains(frame))
    panels = {title: {base: gain(frame, base, PUBLISHED, of)[:3] for base in BASES} for of, title in TITLES.items()}
    put(PAGE, "figure", drawn(NAME, f"Gains by A²M at ρ = {PUBLISHED}, points", panels))
    put(PAGE, "published", against_published(frame))
    put(PAGE, "flatness", flatness(frame))


if __name__ == "__main__":
    run(__doc__, collect=partial(keep_found, NAME), page=page)
