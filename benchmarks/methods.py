"""What a step of every method costs, against a step of ``darts`` in the same process.

    python benchmarks/methods.py --space nasbench201

Steps of both methods alternate, on digits enlarged to the size of images, each in the last epoch of its own search:
past every warm-up, with ramps and prunings at their end. Shown are the medians of the ratios and the peak memory of one
step. What the methods find is another question: docs/studies/search_worth.md.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import replace

import jsonargparse
import torch

import archgrad
from archgrad import data, methods, spaces
from archgrad.data import Dataset
from archgrad.distributed import World
from archgrad.engine.memory import PeakMemory
from archgrad.method import Method
from archgrad.search import Search
from archgrad.spaces import Space


def ended(method: Method, space: Space, images: Dataset) -> Search:
    """A search of at least two epochs, in the last of them."""
    make = lambda size, stage: space.supernet(**space.fitting(images))  # noqa: E731
    search = Search(make, replace(method, epochs=max(method.epochs, 2)), images, World.start("cpu"), 0, 0.5)
    search.epoch = search.method.epochs - 1
    search.start_epoch()
    return search


def cost(search: Search, base: Search, steps: int) -> tuple[float, float]:
    """Seconds of a step and peak memory of one, relative to those of ``base``."""
    both = (base, search)
    peaks = []
    for each in both:
        batches = each.batches.epoch(0)
        each.train_step(next(batches))
        with PeakMemory() as memory:
            each.train_step(next(batches))
        peaks.append(memory.peak)
    ratios = []
    for _ in range(steps):
        seconds = []
        for each in both:
            batch = next(each.batches.epoch(0))
            started = time.perf_counter()
            each.train_step(batch)
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[1] / seconds[0])
    return statistics.median(ratios), peaks[1] / peaks[0]


def compare(
    space: str = "nasbench201",
    only: str | None = None,
    channels: int = 8,
    cells: int = 1,
    image_size: int = 16,
    batch_size: int = 64,
    steps: int = 9,
) -> None:
    """Print the table.

    Args:
        space: whose supernet is searched
        only: methods separated by commas; all by default
        channels: of the supernet
        cells: of the supernet, as its space counts them
        image_size: pixels
        batch_size: images per batch
        steps: how many steps are timed
    """
    torch.set_num_threads(1)
    searched = replace(spaces.get(space), channels=channels, cells=cells)
    images = data.load("digits", image_size=image_size)
    base = ended(replace(methods.get("darts", space), batch_size=batch_size), searched, images)
    print("| method | step time | peak memory |\n|---|---|---|")
    for name in only.split(",") if only else methods.names():
        method = replace(methods.get(name, space), batch_size=batch_size)
        if method.epochs:
            seconds, memory = cost(ended(method, searched, images), base, steps)
            print(f"| `{name}` | {seconds:.2f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    try:
        jsonargparse.auto_cli(compare, as_positional=False)
    except archgrad.ArchgradError as error:
        raise SystemExit(f"methods: {error}") from None
