"""Short searches on NAS-Bench-201: the published learning rate of alphas against ``auto``, over budgets and seeds.

    python examples/short_searches.py --images DIRECTORY --table nasbench201 --out runs/short

Every search is a run directory below ``--out``: a program that was interrupted continues where it was, and finished
searches are not repeated. What is found is looked up in a table (docs/landscape.md says how to get one), so that
nothing has to be trained. The result is printed as a table of Markdown; its discussion is in docs/methods.md.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jsonargparse

import archgrad
from archgrad import data, methods, spaces, tables
from archgrad.data import Dataset
from archgrad.search import SearchResult
from archgrad.tables import Table

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


def study(
    images: str,
    table: str = "nasbench201",
    out: str = "runs/short",
    method: str = "darts",
    seeds: int = 5,
    epochs: str = "20,100,500",
    count: int = 1000,
    image_size: int | None = 16,
    channels: int = 8,
    cells: int = 1,
    batch_size: int = 64,
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
    """
    benchmark, space = tables.load(table), spaces.get("nasbench201", channels=channels, cells=cells)
    dataset = few(data.load(images, image_size=image_size), count)
    published = methods.get(method, space.name)
    print("| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS), sep="\n")
    for budget in map(int, epochs.split(",")):
        for rule in ("published", "auto"):
            alphas = published.alpha_optimiser if rule == "published" else replace(published.alpha_optimiser, lr="auto")
            chosen = replace(published, alpha_optimiser=alphas)
            found = [
                archgrad.search(
                    space,
                    chosen,
                    dataset,
                    epochs=budget,
                    batch_size=batch_size,
                    seed=seed,
                    diagnose=0,
                    out=Path(out) / f"{method}-{budget}-{rule}-{seed}",
                )
                for seed in range(seeds)
            ]
            print("| " + " | ".join(row(found, benchmark)) + " |", flush=True)


def few(dataset: Dataset, count: int) -> Dataset:
    """The first part of a stratified split of the training images, in which every class is as frequent as in all."""
    part, _ = data.split(dataset.train, count / len(dataset.train), 0)
    return replace(dataset, train=part)


def row(found: Sequence[SearchResult], benchmark: Table) -> list[str]:
    """One line of the table, over seeds; agreement is the share of edges on which two seeds choose alike."""
    decisions = [result.decision for result in found if result.decision is not None]
    cells = [result.genotype.choices["cell"] for result in found]
    pairs = [(a, b) for i, a in enumerate(cells) for b in cells[:i]]
    alike = [sum(x == y for x, y in zip(a, b, strict=True)) / len(a) for a, b in pairs]
    accuracies = [benchmark.value(result.genotype, METRIC) for result in found]
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


if __name__ == "__main__":
    try:
        jsonargparse.auto_cli(study, as_positional=False)
    except archgrad.ArchgradError as error:
        raise SystemExit(f"short_searches: {error}") from None
