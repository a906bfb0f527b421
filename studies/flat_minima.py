"""Results and tables of docs/studies/flat_minima.md.

python studies/flat_minima.py collect      # the campaign → studies/results/flat_minima.parquet
python studies/flat_minima.py page         # that file → the tables of the page
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from common import corrected, difference_test, keep_found, kept_whole, mean_interval, put, run, table, within
from jaxtyping import Float

from archgrad import spaces, tables

NAME, PAGE = "flat_minima", "flat_minima.md"
BASES = ("darts", "pc_darts", "gdas", "lambda_darts")
RHO = ("0.001", "0.01", "0.1")
PUBLISHED = "0.01"
GAINS = {"cifar10": 3.60, "cifar100": 4.60, "imagenet16": 3.64}
"""A²M's average gains in points (arXiv 2503.10404)."""
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16": "ImageNet16-120"}
RESAMPLES = 99_999


def scores(frame: pd.DataFrame, method: str, benchmark: str) -> Float[np.ndarray, " seeds"]:
    """What a method's cells are worth; a search that failed found nothing."""
    chosen = frame[(frame.method == method) & (frame.benchmark == benchmark)]
    return chosen.sort_values("seed").score.fillna(0.0).to_numpy()


def gains(frame: pd.DataFrame) -> str:
    """A²M(base) less its base, at every ρ and on every data set."""
    rows = []
    for benchmark, title in TITLES.items():
        found = {
            (base, rho): difference_test(
                scores(frame, f"a2m_{base}_{rho}", benchmark), scores(frame, base, benchmark), RESAMPLES
            )
            for base in BASES
            for rho in RHO
        }
        holm = corrected({base: found[base, PUBLISHED][3] for base in BASES})
        rows += [
            [title, base, f"{mean_interval(scores(frame, base, benchmark))[0]:.2f}",
             *(within(*found[base, rho][:3], "+.2f") for rho in RHO),
             f"{holm[base]:.4f}"]
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
    """Standard deviations of the accuracies of found cells' neighbours; the test is stratified by base."""
    space, looked_up = spaces.get("nasbench201"), tables.load("nasbench201")
    frame = frame[frame.benchmark == "cifar10"]

    def spread(text: str) -> float:
        return float(
            np.std([looked_up.value(each, "cifar10_test_200") for each in space.neighbours(space.parse(text))])
        )

    of = {genotype: spread(genotype) for genotype in frame.genotype.dropna().unique()}

    def around(method: str) -> Float[np.ndarray, " seeds"]:
        return frame[frame.method == method].genotype.dropna().map(of).to_numpy()

    pairs = [(around(f"a2m_{base}_{PUBLISHED}"), around(base)) for base in BASES]
    observed, p = stratified(pairs)
    rows = [
        [base, f"{flat.mean():.2f}", f"{plain.mean():.2f}"] for base, (flat, plain) in zip(BASES, pairs, strict=True)
    ]
    rows.append(["mean difference", f"{observed:+.2f}", f"p = {p:.4f}"])
    return table(("base", "std around A²M's cells, points", "around the base's"), rows)


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
    put(PAGE, "published", against_published(frame))
    put(PAGE, "flatness", flatness(frame))


if __name__ == "__main__":
    run(__doc__, collect=partial(keep_found, NAME), page=page)
