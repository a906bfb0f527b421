"""Short searches on NAS-Bench-201: the published learning rate of alphas against ``auto``, over budgets and seeds.

    python examples/short_searches.py --images DIRECTORY --table nasbench201 --out runs/short

Every search is a run directory below ``--out``: a program that was interrupted continues where it was, and finished
searches are not repeated. What is found is looked up in a table (docs/landscape.md says how to get one), so that
nothing has to be trained. The results are printed as tables of Markdown; their discussion is in docs/methods.md.

What is expected, written down before the runs:

* Moved: with the published learning rate alphas hardly move in the two shorter budgets; with ``auto`` they do in all.
* Surer: they are no surer with ``auto``. Two seeds agree on more edges with a longer budget, and at the same budget as
  often with either rule.
* Better: if ``auto`` finds better cells, it does so in the shortest budget.

The test is of accuracy: the differences ``auto`` − published of the same seed, averaged over the budgets, by the exact
sign-flip test over the seeds, two-sided. Five seeds give p = 0.06 at the least, so that no difference can be shown at
5 %; intervals (Student's t over the seeds) say how large one may be. The rows of single budgets are not tests.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jsonargparse
import numpy as np
from jaxtyping import Float
from scipy import stats

import archgrad
from archgrad import data, methods, spaces, tables
from archgrad.data import Dataset
from archgrad.search import SearchResult

METRIC = "cifar10_test_200"
COLUMNS = (
    "α steps",
    "α lr",
    "largest weight",
    "median margin",
    "hardly moved",
    "within noise",
    "agreement",
    "accuracy",
)
RULES = ("published", "auto")


def study(
    images: str,
    table: str = "nasbench201",
    out: str = "runs/short",
    method: str = "darts",
    seeds: int = 5,
    epochs: str = "20,100,200",
    count: int = 1000,
    image_size: int | None = 16,
    channels: int = 8,
    cells: int = 1,
    batch_size: int = 64,
    executor: str = "native",
) -> None:
    """Search with both learning rates from every seed and for every budget, and compare the cells.

    Args:
        images: a directory of Parquet files of images, as on Hugging Face, or a dataset's name
        table: a table of NAS-Bench-201 by name or as a file
        out: directory of the runs
        method: a method whose alphas decide
        seeds: how many seeds, from 0
        epochs: budgets, separated by commas
        count: training images; half of them train the weights and half the alphas
        image_size: bring the images to this many pixels
        channels: channels of the supernet
        cells: cells of each of the supernet's three stages
        batch_size: images per batch
        executor: what computes the cells; native compiles C++ once, auto needs no compiler
    """
    benchmark, space = tables.load(table), spaces.get("nasbench201", channels=channels, cells=cells)
    dataset = few(data.load(images, image_size=image_size), count)
    published = methods.get(method, space.name)
    accuracies: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    budgets = [int(budget) for budget in epochs.split(",")]
    print("| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS), sep="\n")
    for budget in budgets:
        for rule in RULES:
            alphas = published.alpha_optimiser if rule == "published" else replace(published.alpha_optimiser, lr="auto")
            found = [
                archgrad.search(
                    space,
                    replace(published, alpha_optimiser=alphas),
                    dataset,
                    epochs=budget,
                    batch_size=batch_size,
                    seed=seed,
                    diagnose=0,
                    executor=executor,
                    out=Path(out) / f"{method}-{budget}-{rule}-{seed}",
                )
                for seed in range(seeds)
            ]
            accuracies[rule].append([benchmark.value(result.genotype, METRIC) for result in found])
            print("| " + " | ".join(row(found, accuracies[rule][-1])) + " |", flush=True)
    differences = np.array(accuracies["auto"]) - np.array(accuracies["published"])
    if seeds > 1:
        print("", "| epochs | auto − published | 95 % interval | p |", "|---|---|---|---|", sep="\n")
        for name, of_seeds in zip([*map(str, budgets), "all"], [*differences, differences.mean(0)], strict=True):
            print("| " + " | ".join([name, *compared(of_seeds, tested=name == "all")]) + " |")


def few(dataset: Dataset, count: int) -> Dataset:
    """The first part of a stratified split of the training images, in which every class is as frequent as in all."""
    part, _ = data.split(dataset.train, count / len(dataset.train), 0)
    return replace(dataset, train=part)


def row(found: Sequence[SearchResult], accuracies: Sequence[float]) -> list[str]:
    """One line of the table, over seeds; agreement is the share of edges on which two seeds choose alike."""
    decisions = [result.decision for result in found if result.decision is not None]
    cells = [result.genotype.choices["cell"] for result in found]
    pairs = [(a, b) for i, a in enumerate(cells) for b in cells[:i]]
    alike = [sum(x == y for x, y in zip(a, b, strict=True)) / len(a) for a, b in pairs]
    verdicts = [decision.verdict for decision in decisions]
    return [
        f"{decisions[0].steps:,}",
        f"{decisions[0].lr:.3g}",
        f"{statistics.mean(decision.largest for decision in decisions):.3f}",
        f"{statistics.mean(decision.margin for decision in decisions):.4f}",
        f"{verdicts.count('hardly moved')} of {len(verdicts)}",
        f"{verdicts.count('within noise')} of {len(verdicts)}",
        f"{statistics.mean(alike):.2f}" if alike else "–",
        f"{statistics.mean(accuracies):.2f}" + (f" ± {statistics.stdev(accuracies):.2f}" if len(found) > 1 else ""),
    ]


def compared(differences: Float[np.ndarray, " seeds"], tested: bool) -> list[str]:
    """The mean over seeds, its interval by Student's t, and the p-value of the sign-flip test where that is meant."""
    mean, count = float(differences.mean()), len(differences)
    half = float(stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / count**0.5)
    p = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    return [f"{mean:+.2f}", f"{mean - half:+.2f} … {mean + half:+.2f}", f"{p:.3f}" if tested else "–"]


if __name__ == "__main__":
    try:
        jsonargparse.auto_cli(study, as_positional=False)
    except archgrad.ArchgradError as error:
        raise SystemExit(f"short_searches: {error}") from None
