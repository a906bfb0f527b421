"""What every method finds, and what its steps cost, on a small NAS-Bench-201 supernet.

    python benchmarks/methods.py --table nasbench201.parquet --cifar10 DIRECTORY --out runs/methods

Every method searches on digits and on CIFAR-10 images (Parquet files), from several seeds. The cells that are found
are looked up in the NAS-Bench-201 table: nothing is trained. Every search is a run directory below ``--out``; one that
was interrupted goes on where it was. Time and memory of a step are measured afterwards, method by method in one
process, against those of ``darts`` in turn.

Deviations from the published settings, the same for all: size of supernet and images, epochs, batch size, and the
learning rate of alphas, since a search of a few hundred steps needs a larger one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import jsonargparse
import torch

import archgrad
from archgrad import data, methods, tables
from archgrad.data import Dataset
from archgrad.distributed import World
from archgrad.engine.memory import PeakMemory
from archgrad.method import Method
from archgrad.runs import Run
from archgrad.search import Search

SPACE = archgrad.spaces.get("nasbench201")
METRIC = "cifar10_test_200"
SKIP = "skip_connect"


def dataset(source: str, image_size: int, count: int) -> Dataset:
    """The images; of a larger training set a fixed stratified draw."""
    whole = data.load(source, image_size=image_size)
    if count >= len(whole.train):
        return whole
    return replace(whole, train=data.split(whole.train, count / len(whole.train), 0)[0])


def method(name: str, alpha_lr: float, epochs: int, batch_size: int) -> Method:
    """A method with its published settings but for the scale."""
    chosen = methods.get(name, SPACE.name)
    return replace(
        chosen,
        alpha_optimiser=replace(chosen.alpha_optimiser, lr=alpha_lr),
        epochs=min(epochs, chosen.epochs),
        batch_size=batch_size,
    )


def run(chosen: Method, images: Dataset, directory: Path, channels: int, cells: int, seed: int) -> None:
    """One search, or the rest of it."""
    torch.set_num_threads(1)
    archgrad.search(
        replace(SPACE, channels=channels, cells=cells),
        chosen,
        images,
        seed=seed,
        out=directory,
        device="cpu",
        diagnose=0,
        progress=False,
    )


def cost(chosen: Method, base: Method, images: Dataset, channels: int, cells: int, steps: int) -> tuple[float, float]:
    """Seconds of a step and peak memory of one, relative to those of ``base``; steps of both alternate."""
    torch.set_num_threads(1)
    shape = {"classes": images.classes, "in_channels": images.channels}
    loops = []
    for each in (base, chosen):
        make = lambda size, stage: replace(SPACE, channels=channels, cells=cells).supernet(**shape)  # noqa: E731
        loop = Search(make, replace(each, epochs=max(each.epochs, 2)), images, World.start("cpu"), 0, 0.5)
        loop.epoch = loop.method.epochs - 1  # past every warm-up, with regularisers and ramps at their end
        loop.start_epoch()
        loops.append(loop)
    seconds: list[list[float]] = [[], []]
    peaks = []
    for loop in loops:
        batches = loop.batches.epoch(0)
        loop.train_step(next(batches))
        with PeakMemory() as memory:
            loop.train_step(next(batches))
        peaks.append(memory.peak)
    for _ in range(steps):
        for number, loop in enumerate(loops):
            batch = next(loop.batches.epoch(0))
            started = time.perf_counter()
            loop.train_step(batch)
            seconds[number].append(time.perf_counter() - started)
    ratios = [b / a for a, b in zip(*seconds, strict=True)]
    return statistics.median(ratios), peaks[1] / peaks[0]


def row(directories: Sequence[Path], table: tables.Table) -> dict[str, float]:
    """What the seeds found."""
    accuracies, skips = [], []
    for directory in directories:
        cell = SPACE.parse(Run.open(directory).read_json("genotype.json")["text"])
        accuracies.append(table.standing(cell, METRIC).value)
        skips.append(sum(names == (SKIP,) for names in cell.choices["cell"]))
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else float("nan")
    return {"mean": statistics.mean(accuracies), "std": spread, "skips": statistics.mean(skips)}


def study(
    table: str,
    cifar10: str | None = None,
    out: str = "runs/methods",
    only: str | None = None,
    seeds: int = 3,
    channels: int = 8,
    cells: int = 2,
    image_size: int = 16,
    count: int = 2000,
    epochs: int = 20,
    batch_size: int = 64,
    alpha_lr: float = 1e-2,
    steps: int = 5,
    workers: int = 2,
) -> None:
    """Search with every method, and print and write the table.

    Args:
        table: the NAS-Bench-201 table by name or as a file
        cifar10: a directory of Parquet files; without it only digits are searched on
        out: directory of the runs and of table.md
        only: methods separated by commas; all by default
        seeds: how many, from 0
        channels: of the supernet
        cells: of each of its three stages
        image_size: pixels
        count: training images at most
        epochs: of each search
        batch_size: images per batch
        alpha_lr: learning rate of alphas
        steps: how many steps are timed
        workers: searches side by side, one thread each
    """
    benchmark, directory = tables.load(table), Path(out)
    names = only.split(",") if only else methods.names()
    sources = {"digits": "digits", **({"CIFAR-10": cifar10} if cifar10 else {})}
    images = {title: dataset(source, image_size, count) for title, source in sources.items()}
    places = {
        (name, title): [directory / f"{name}-{title}-{seed}" for seed in range(seeds)]
        for title in images
        for name in names
    }
    chosen = {name: method(name, alpha_lr, epochs, batch_size) for name in names}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(run, chosen[name], images[title], place, channels, cells, seed)
            for (name, title), where in places.items()
            for seed, place in enumerate(where)
        ]
        for number, done in enumerate(as_completed(jobs), 1):
            done.result()
            print(f"\r{number}/{len(jobs)} searches", end="", flush=True)
    base = method("darts", alpha_lr, epochs, batch_size)
    heads = [f"{title}: accuracy in the table, skips" for title in images]
    lines = [f"| method | {' | '.join(heads)} | step time | peak memory |", "|---" * (len(heads) + 3) + "|"]
    for name in names:
        found = [row(places[name, title], benchmark) for title in images]
        shown = [f"{f['mean']:.2f} ± {f['std']:.2f}, {f['skips']:.1f}" for f in found]
        first = next(iter(images.values()))
        time_, memory = cost(chosen[name], base, first, channels, cells, steps) if chosen[name].epochs else (0.0, 0.0)
        lines.append(f"| {name} | {' | '.join(shown)} | {time_:.2f}× | {memory:.2f}× |")
        print(f"\r{lines[-1]}", flush=True)
    sizes = f"C={channels}, N={cells}, {image_size}×{image_size}, at most {count:,} images, {epochs} epochs"
    head = (
        f"NAS-Bench-201, {sizes}, batch {batch_size}, alphas lr {alpha_lr:g}, {seeds} seeds; step relative to darts\n\n"
    )
    (directory / "table.md").write_text(head + "\n".join(lines) + "\n")
    print("\n" + head + "\n".join(lines))


if __name__ == "__main__":
    try:
        jsonargparse.auto_cli(study, as_positional=False)
    except archgrad.ArchgradError as error:
        raise SystemExit(f"methods: {error}") from None
