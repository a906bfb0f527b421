"""What Λ-DARTS and A²M add to the step that they replace: time, and memory at the peak.

    python benchmarks/gradients.py --space nasbench201 --channels 8 --cells 2 --batch 16 --rounds 5 --json FILE

The base of `LayerAlignment` is `Plain`, one gradient of the weights; that of `FlatMinima` is `FirstOrder`, one gradient
of the alphas. ``whole step``: both halves. Every round times all of them one after the other, so that whatever else the
machine does hits all of them; shown are medians over rounds of the seconds and of the ratios within a round. Memory is
the most bytes of all tensors that a step brings into being and that are alive at once (`PeakMemory`), counted in passes
of their own; it is the same on every machine.

Goals: finite differences cost at most 3.2 times (`LayerAlignment`) and 4.3 times (`FlatMinima`) as much as their base,
with at most 1.3 times the memory. `LayerAlignment` collects the gradients of the sites, for which its first pass keeps
what an alpha step keeps; `Plain` alone does not, so that its memory is compared by the whole step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from archgrad import spaces
from archgrad.context import Clock, Context
from archgrad.engine.memory import PeakMemory
from archgrad.gradient import FirstOrder, FlatMinima, LayerAlignment, Plain
from archgrad.method import Method
from archgrad.randomness import generator

WEIGHTS = {
    "Plain": Plain(),
    "LayerAlignment": LayerAlignment(0.125),
    "LayerAlignment, exact": LayerAlignment(0.125, exact=True),
}
ALPHAS = {
    "FirstOrder": FirstOrder(),
    "FlatMinima": FlatMinima(),
    "FlatMinima, exact": FlatMinima(second_order="exact"),
    "FlatMinima, none": FlatMinima(second_order="none"),
}
STEPS = {
    "whole step": (FirstOrder(), Plain()),
    "whole step, LayerAlignment": (FirstOrder(), LayerAlignment(0.125)),
    "whole step, FlatMinima": (FlatMinima(), Plain()),
    "whole step, both": (FlatMinima(), LayerAlignment(0.125)),
}
BASES = {
    **dict.fromkeys(WEIGHTS, "Plain"),
    **dict.fromkeys(ALPHAS, "FirstOrder"),
    **dict.fromkeys(STEPS, "whole step"),
}
GOALS = {"LayerAlignment": 3.2, "FlatMinima": 4.3}


@dataclass
class Row:
    """One line of the table."""

    space: str
    step: str
    base: str
    seconds: float
    ratio: float
    peak_bytes: int
    memory_ratio: float


def steps(space: str, batch: int, size: int, executor: str, **build: int) -> dict[str, Callable[[], None]]:
    """Every step by name, all on one supernet and one batch, in the middle of a search."""
    torch.manual_seed(0)
    supernet = spaces.get(space, **build).supernet(executor=executor)
    supernet = supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    draw = generator(0, "benchmark")
    x = torch.randn(batch, 3, size, size, generator=draw).contiguous(memory_format=torch.channels_last)
    y = torch.randint(10, (batch,), generator=draw)
    alphas = dict(supernet.alphas.items())

    def running(*rules: Callable[..., object]) -> Callable[[], None]:
        def run() -> None:
            for rule in rules:
                at = Method().objective((x, y), Context(supernet, Clock(1, 2)))
                rule(at, alphas, at.context)

        return run

    single = {name: running(rule) for name, rule in {**WEIGHTS, **ALPHAS}.items()}
    return {**single, **{name: running(*rules) for name, rules in STEPS.items()}}


def measure(space: str, batch: int, size: int, executor: str, rounds: int, **build: int) -> list[Row]:
    """Seconds and bytes of every step, and their ratios to those of its base."""
    made = steps(space, batch, size, executor, **build)
    peaks, seconds = {}, {name: list[float]() for name in made}
    for name, step in made.items():
        step()  # warm-up
        with PeakMemory() as memory:
            step()
        peaks[name] = memory.peak
    for _ in range(rounds):
        for name, step in made.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    rows = []
    for name, base in BASES.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds[base], strict=True))
        memory_ratio = peaks[name] / peaks[base]
        rows.append(Row(space, name, base, statistics.median(seconds[name]), ratio, peaks[name], memory_ratio))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", default="nasbench201", choices=sorted(spaces.SPACES))
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--cells", type=int, default=2, help="NAS-Bench-201: of each of three stages")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--executor", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    size = {"channels": chosen.channels, "cells": chosen.cells}
    rows = measure(chosen.space, chosen.batch, chosen.size, chosen.executor, chosen.rounds, **size)
    print(f"{chosen.space}, C={chosen.channels}, {chosen.cells} cells, batch {chosen.batch}, {chosen.size} pixels")
    print(f"{'':>28}{'seconds':>9}{'ratio':>8}{'goal':>6}{'peak MiB':>10}{'ratio':>7}")
    for row in rows:
        goal = GOALS.get(row.step)
        print(
            f"{row.step:>28}{row.seconds:9.3f}{row.ratio:8.2f}{goal or '':>6}{row.peak_bytes / 2**20:10.1f}"
            f"{row.memory_ratio:7.2f}"
        )
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
