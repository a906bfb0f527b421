"""Performance collapse on NAS-Bench-201: DARTS against Λ-DARTS, A²M and their combinations.

    python examples/collapse.py --images DIRECTORY --table nasbench201 --out runs/collapse

A cell that DARTS searches fills with skip connections when the search goes on for long. This program searches with
every method from several seeds and looks up, after every epoch, the real accuracy of the cell that would be found then
in a table (see docs/landscape.md for how to get one). Beside it, it records

* the skips of that cell,
* the alignment Λ of the cells' gradients with respect to their mixtures, on test images that no search trains on,
* the saturation: the mean over the edges of the largest weight of the mixture.

Every search is a run directory below ``--out``: a program that was interrupted continues where it was, and finished
searches are not repeated. ``numbers.csv`` has one row per method, seed and epoch, ``summary.json`` the settings and
one row per method, ``collapse.png`` and ``collapse.svg`` are the figure. The figure and its discussion are in
docs/collapse.md.

The supernets are small: one thread each is fastest, and ``--workers`` searches run side by side.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jsonargparse
import numpy as np
import torch
from matplotlib.figure import Figure

import archgrad
from archgrad import data, methods, tables
from archgrad.context import Context
from archgrad.data import Batches, Dataset
from archgrad.engine.checkpoint import as_now
from archgrad.gradient import LayerAlignment
from archgrad.gradient.layer_alignment import alignment
from archgrad.landscape import save
from archgrad.method import Method
from archgrad.regularisers import DirichletAnchor
from archgrad.relaxation import Dirichlet, Softmax
from archgrad.roles import Relaxation, Schedule
from archgrad.search import State

METHODS = "darts,lambda_darts,a2m(darts),a2m(lambda_darts),a2m(drnas),random"
METRIC = "cifar10_test_200"
SPACE = "nasbench201"
OPERATIONS = archgrad.spaces.get(SPACE).groups["cell"].operations
NONE, SKIP = OPERATIONS.index("none"), OPERATIONS.index("skip_connect")
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of Okabe and Ito, which people with any colour vision tell apart."""


@dataclass(frozen=True)
class Settings:
    """What all searches of a study share."""

    images: str
    count: int | None = 10_000
    image_size: int | None = 16
    channels: int = 4
    cells: int = 5
    epochs: int = 50
    batch_size: int = 64
    alpha_lr: float = 1e-3
    strength: float = 0.125
    epsilon: float = 1e-4
    exact: bool = False
    rho: float = 1e-2


@lru_cache(1)
def dataset(images: str, image_size: int | None, count: int | None) -> Dataset:
    """The images, of the training set only the first ``count`` of a fixed stratified draw."""
    whole = data.load(images, image_size=image_size)
    if count is None or count >= len(whole.train):
        return whole
    part, _ = data.split(whole.train, count / len(whole.train), 0)
    return replace(whole, train=part)


@dataclass(frozen=True)
class Watch(Schedule):
    """Adds the alignment of the cells' gradients on held-out images to the record of every epoch."""

    images: str
    image_size: int | None
    relaxation: Relaxation = field(default_factory=Softmax)
    batch_size: int = 256

    def epoch_end(self, state: State, context: Context) -> None:
        """Measure at the present weights and alphas, and leave both, their statistics and all randomness alone."""
        held_out = dataset(self.images, self.image_size, None).test
        batch = next(Batches(held_out, min(self.batch_size, len(held_out)), shuffle=True).epoch())
        state.supernet.train()
        with torch.random.fork_rng(), as_now(state.supernet):
            objective = Method(relaxation=self.relaxation).objective(batch, context)
            objective.gradient(dict(state.supernet.alphas.items()))
        sites = objective.trace.site_gradients["cell"].flatten(1)
        state.history[-1]["alignment"] = float(alignment(sites))


def method(name: str, settings: Settings) -> Method:
    """A method of the study by name; ``a2m(…)`` wraps any other, ``random`` draws a genotype.

    ``drnas`` is DrNAS without its partial channels: Dirichlet mixtures that an anchor holds near the uniform one.
    """
    if name.startswith("a2m(") and name.endswith(")"):
        return methods.a2m(SPACE, method(name[4:-1], settings), settings.rho)
    if name == "random":
        return methods.get("random_genotype", SPACE)
    if name == "drnas":
        base = methods.darts(SPACE)
        chosen = replace(base, name=name, relaxation=Dirichlet(), regularisers=(DirichletAnchor(),))
    else:
        chosen = methods.get(name, SPACE)
    if isinstance(chosen.weight_gradient, LayerAlignment):
        rule = replace(
            chosen.weight_gradient, strength=settings.strength, epsilon=settings.epsilon, exact=settings.exact
        )
        chosen = replace(chosen, weight_gradient=rule)
    watch = Watch(settings.images, settings.image_size, chosen.relaxation)
    optimiser = replace(chosen.alpha_optimiser, lr=settings.alpha_lr)
    return replace(chosen, alpha_optimiser=optimiser, schedules=(*chosen.schedules, watch), epochs=settings.epochs)


def directory(out: Path, name: str, seed: int) -> Path:
    """The run directory of a search."""
    return out / f"{name.replace('(', '-').replace(')', '')}-{seed}"


def run(settings: Settings, out: Path, name: str, seed: int) -> str:
    """Search, or continue a search; says what was found."""
    torch.set_num_threads(1)
    chosen = method(name, settings)
    found = archgrad.search(
        archgrad.spaces.get(SPACE, channels=settings.channels, cells=settings.cells),
        chosen,
        dataset(settings.images, settings.image_size, settings.count),
        batch_size=settings.batch_size,
        seed=seed,
        device="cpu",
        out=directory(out, name, seed),
        progress=False,
        diagnose=0,  # `Watch` looks after every epoch, and on other images
    )
    text = archgrad.spaces.get(SPACE).format(found.genotype)
    seconds = found.history[-1]["seconds"] if found.history else 0
    return f"{name}, seed {seed}: {text} ({seconds:.0f} s)"


def read(out: Path, table: tables.Table, name: str, seed: int, keep_none: bool) -> list[dict[str, Any]]:
    """One row per epoch, 0 before the first one: the cell of that moment and its real accuracy."""
    finished = archgrad.runs.Run.open(directory(out, name, seed))
    shared = {"method": name, "seed": seed}
    if name == "random":
        text = finished.read_json("genotype.json")["text"]
        return [{**shared, "epoch": 0, **_cell(table, _digits(text))}]
    rows: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = [{}, *finished.history()]
    for epoch, (alphas, record) in enumerate(zip(finished.read_arrays("alphas.npz")["cell"], records, strict=True)):
        digits = strongest(alphas, keep_none)
        kept = ("alignment", "evaluation_loss", "evaluation_accuracy", "seconds")
        measured = {key: record.get(key) for key in kept}
        saturation = float(mixture(name, alphas).max(-1).mean())
        rows.append({**shared, "epoch": epoch, **_cell(table, digits), "saturation": saturation, **measured})
    return rows


def strongest(alphas: np.ndarray[Any, Any], keep_none: bool) -> str:
    """The digits of the cell with the strongest operation of every edge, by default of those other than ``none``."""
    if not keep_none:
        alphas = alphas.copy()
        alphas[:, NONE] = -np.inf
    return "".join(map(str, alphas.argmax(-1)))


def mixture(name: str, alphas: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The weights of the mixture, for the Dirichlet distribution their mean."""
    a = torch.from_numpy(alphas).double()
    weights = torch.nn.functional.elu(a) + 1 if "drnas" in name else a.exp()
    shares: np.ndarray[Any, Any] = (weights / weights.sum(-1, keepdim=True)).numpy()
    return shares


def _digits(text: str) -> str:
    kept = archgrad.spaces.get(SPACE).parse(text).choices["cell"]
    return "".join(str(OPERATIONS.index(operation)) for (operation,) in kept)


def _cell(table: tables.Table, digits: str) -> dict[str, Any]:
    found = table.standing(digits, METRIC)
    return {
        "cell": digits,
        "accuracy": found.value,
        "percentile": found.percentile,
        "skips": digits.count(str(SKIP)),
    }


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per method, in the order of the rows: what its seeds end with."""
    summary = []
    for name in dict.fromkeys(row["method"] for row in rows):
        searches: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            if row["method"] == name:
                searches.setdefault(row["seed"], []).append(row)
        last = [search[-1] for search in searches.values()]
        accuracies = [row["accuracy"] for row in last]
        chosen = [
            min(search, key=lambda r: np.inf if r.get("evaluation_loss") is None else r["evaluation_loss"])
            for search in searches.values()
        ]
        summary.append(
            {
                "method": name,
                "seeds": len(last),
                "accuracy": statistics.mean(accuracies),
                "std": statistics.stdev(accuracies) if len(last) > 1 else None,
                "min": min(accuracies),
                "accuracy_at_lowest_validation_loss": statistics.mean(row["accuracy"] for row in chosen),
                "highest_on_the_way": statistics.mean(max(r["accuracy"] for r in s) for s in searches.values()),
                **{
                    key: statistics.mean(row[key] for row in last) if last[0].get(key) is not None else None
                    for key in ("skips", "alignment", "saturation", "evaluation_accuracy", "seconds")
                },
            }
        )
    return summary


def draw(rows: Sequence[dict[str, Any]], table: tables.Table, title: str) -> Figure:
    """Four panels over the epochs, the mean of the seeds thick and every seed thin."""
    panels = {
        "accuracy": "CIFAR-10 accuracy in the table, %",
        "skips": "skip connections of 6 edges",
        "alignment": "alignment Λ of the cells' gradients",
        "saturation": "saturation: mean largest weight",
    }
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True).flat
    names = [name for name in dict.fromkeys(row["method"] for row in rows) if name != "random"]
    for panel, (key, label) in zip(axes, panels.items(), strict=True):
        for name, colour in zip(names, COLOURS, strict=False):
            curves: dict[int, list[tuple[int, float]]] = {}
            for row in rows:
                if row["method"] == name and row.get(key) is not None:
                    curves.setdefault(row["seed"], []).append((row["epoch"], row[key]))
            for points in curves.values():
                panel.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, alpha=0.35)
            if curves:
                epochs = [epoch for epoch, _ in next(iter(curves.values()))]
                mean = np.mean([[value for _, value in points] for points in curves.values()], axis=0)
                panel.plot(epochs, mean, color=colour, linewidth=2, label=name)
        panel.set_ylabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    first, *_, last = figure.axes
    marks = {
        "mean of all cells": float(np.nanmean(table.values(METRIC))),
        "only skips": table.value("1" * 6, METRIC),
        "best cell": table.best(METRIC)[0].value,
    }
    for text, value in marks.items():
        first.axhline(value, color="0.6", linewidth=0.8, linestyle=":")
        first.annotate(text, (0, value), xytext=(2, 2), textcoords="offset points", fontsize="x-small", color="0.4")
    figure.axes[2].set_xlabel("epoch")
    last.set_xlabel("epoch")
    figure.suptitle(title, fontsize="medium")
    figure.legend(*first.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def study(
    images: str,
    table: str = "nasbench201",
    out: str = "runs/collapse",
    methods: str = METHODS,
    seeds: int = 4,
    epochs: int = 50,
    count: int = 10_000,
    image_size: int | None = 16,
    channels: int = 4,
    cells: int = 5,
    batch_size: int = 64,
    alpha_lr: float = 1e-3,
    strength: float = 0.125,
    epsilon: float = 1e-4,
    exact: bool = False,
    rho: float = 1e-2,
    keep_none: bool = False,
    workers: int = 2,
) -> None:
    """Search with every method from every seed, and compare the cells after each epoch.

    Args:
        images: a directory of Parquet files of images, as on Hugging Face, or a dataset's name
        table: a table of NAS-Bench-201 by name or as a file
        out: directory of the runs and the results
        methods: names separated by commas; a2m(NAME) makes a method seek flat minima, random draws a genotype
        seeds: how many seeds, from 0
        epochs: epochs of each search
        count: training images; half of them train the weights and half the alphas
        image_size: bring the images to this many pixels
        channels: channels of the supernet
        cells: cells of each of the supernet's three stages
        batch_size: images per batch
        alpha_lr: learning rate of alphas
        strength: λ of Λ-DARTS
        epsilon: ε₀ of Λ-DARTS
        exact: Λ-DARTS by double backward instead of finite differences
        rho: the step up of A²M
        keep_none: let `none` win an edge, too
        workers: searches side by side
    """
    given = {key: value for key, value in locals().items() if key in {f.name for f in fields(Settings)}}
    settings, directory_ = Settings(**given), Path(out)
    names = [name.strip() for name in methods.split(",")]
    benchmark = tables.load(table)  # before hours of searching for one that is not there
    for name in names:
        method(name, settings)
    jobs = [(name, seed) for seed in range(seeds) for name in names]
    # New processes, not copies of this one: torch's threads do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(run, settings, directory_, *job) for job in jobs]
        for done in as_completed(waiting):
            print(done.result(), flush=True)
    rows = [
        row for name in names for seed in range(seeds) for row in read(directory_, benchmark, name, seed, keep_none)
    ]
    summary = summarise(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (directory_ / "numbers.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    report = {"settings": {**asdict(settings), "seeds": seeds, "keep_none": keep_none}, "methods": summary}
    (directory_ / "summary.json").write_text(json.dumps(report, indent=2) + "\n")
    half, pixels = len(dataset(settings.images, image_size, count).train) // 2, image_size or "full"
    title = f"{seeds} seeds, C={channels}, N={cells}, {half:,} + {half:,} images of {pixels} pixels, α lr {alpha_lr:g}"
    for suffix in ("png", "svg"):
        save(draw(rows, benchmark, title), directory_ / f"collapse.{suffix}")
    for entry in summary:
        deviation = "" if entry["std"] is None else f" ± {entry['std']:.2f}"
        found = f"{entry['accuracy']:.2f}{deviation}, lowest {entry['min']:.2f}, {entry['skips']:.1f} skips"
        print(f"{entry['method']:>18}: {found}")


if __name__ == "__main__":
    try:
        jsonargparse.auto_cli(study, as_positional=False)
    except archgrad.ArchgradError as error:
        raise SystemExit(f"collapse: {error}") from None
