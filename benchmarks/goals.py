"""The goals of the engine, all in one go: what a whole step takes against plain torch, on one thread and on two.

    python benchmarks/goals.py --json goals.json --markdown goals.md      # some eight minutes on two cores

On a machine in use set ``OMP_WAIT_POLICY=passive``: waiting threads otherwise keep the cores that others compute on.
Everything is measured in one process. A round runs all contenders of a case one after the other, on two threads and in
every third round on one thread as well; shown are medians over rounds of ratios within a round, with the lowest and
the highest. What a user gets, ``auto``, is compared with the two baselines of ``step.py``: plain channels_last with the
gradients that each half of a step needs, and plain NCHW with all gradients both times, as published code has it.

* ``speed``: time of the baseline over time of ``auto``;
* ``second core``: time of ``auto`` on one thread over that on two;
* ``limit``: time of ``auto`` over that of the arithmetic alone (see ``step.py``);
* ``cost``: time of a step with more passes over that of the step of DARTS;
* ``kept``: megabytes per image from forward to backward in a weight step, and with ``checkpoint_cells`` also the time
  over that without.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import gradients
import settled
import torch
from step import BASELINE, COUNTED, Step, peak

Contenders = dict[str, Callable[[], None]]
Times = dict[tuple[str, int], list[float | None]]
"""(contender, threads) → seconds of each round; None where a round left them out."""

AUTO, AGAIN = "auto", "checkpoint_cells"
NAMES = {"plain": "plain channels_last", BASELINE: "plain NCHW"}


@dataclass(frozen=True)
class Case:
    """A supernet on a batch; ``speeds``: baseline → goal on two threads."""

    name: str
    space: str
    build: Mapping[str, int]
    image: int
    batch: int
    speeds: Mapping[str, float]
    second_core: float | None = None
    limit: float | None = None
    kept: float | None = None


NB201 = "nasbench201"
CASES = (
    Case("DARTS, batch 16", "darts", {}, 32, 16, {"plain": 3.5, BASELINE: 7}, kept=20),
    Case("DARTS, batch 64", "darts", {}, 32, 64, {"plain": 3.4}, 1.7, 3),
    Case("NAS-Bench-201 C=16 N=5, 32×32, batch 64", NB201, {"channels": 16, "cells": 5}, 32, 64, {"plain": 1.6}),
    Case("NAS-Bench-201 C=4 N=5, 16×16, batch 64", NB201, {"channels": 4, "cells": 5}, 16, 64, {"plain": 5}),
    Case("NAS-Bench-201 C=8 N=1, 16×16, batch 64", NB201, {"channels": 8, "cells": 1}, 16, 64, {"plain": 3}),
    Case("NAS-Bench-201 C=8 N=2, 16×16, batch 64", NB201, {"channels": 8, "cells": 2}, 16, 64, {"plain": 3}),
    Case("deep-regular, 16×16, batch 64", "deep-regular", {}, 16, 64, {"plain": 3}),
    Case("single_cell-regular, 16×16, batch 64", "single_cell-regular", {}, 16, 64, {"plain": 3}),
)
SETTLED = "settled DARTS network C=36, 20 cells, batch 32"
SETTLED_GOAL = 1.8
GRADIENTS = "NAS-Bench-201 C=8 N=2, 32×32, batch 16"
COSTS = {"LayerAlignment": 2.5, "FlatMinima": 2.5}
"""No more than what these steps took of that of DARTS before there was native code."""


@dataclass
class Row:
    """One line of the table; ``goal`` is for two threads, and ``more`` says whether more is better."""

    case: str
    what: str
    threads: int
    value: float
    low: float
    high: float
    goal: float | None = None
    more: bool = True
    rounds: int = 0
    seconds: float | None = None
    reached: bool | None = field(default=None)

    def __post_init__(self) -> None:
        if self.goal is not None:
            self.reached = self.value >= self.goal if self.more else self.value <= self.goal


def timed(contenders: Contenders, rounds: int) -> Times:
    """Seconds of every contender; on one thread in every third round, the first one included."""
    found: Times = {(name, threads): [] for name in contenders for threads in (1, 2)}
    torch.set_num_threads(2)
    for run in contenders.values():
        run()  # warm-up
    for number in range(rounds):
        for threads in (2, 1):
            torch.set_num_threads(threads)
            for name, run in contenders.items():
                if threads == 1 and number % 3:
                    found[name, threads].append(None)
                    continue
                start = time.perf_counter()
                run()
                found[name, threads].append(time.perf_counter() - start)
    return found


def ratios(above: Sequence[float | None], below: Sequence[float | None]) -> list[float]:
    """Those of rounds in which both ran."""
    return [a / b for a, b in zip(above, below, strict=True) if a is not None and b is not None]


def row(case: str, what: str, threads: int, values: Sequence[float], goal: float | None = None, **more: Any) -> Row:
    """A row of the values of all rounds; the goals are for two threads."""
    value = statistics.median(values)
    return Row(case, what, threads, value, min(values), max(values), goal if threads == 2 else None,
               rounds=len(values), **more)  # fmt: skip


def median(seconds: Sequence[float | None]) -> float:
    """Of the rounds that ran."""
    return statistics.median(value for value in seconds if value is not None)


def supernet(case: Case, rounds: int) -> Iterator[Row]:
    """Speed, second core, limit, and what is kept."""
    steps = {name: _step(case, name) for name in (AUTO, *case.speeds)}
    contenders: Contenders = {name: step.step for name, step in steps.items()}
    if case.kept is not None:
        contenders[AGAIN] = (again := _step(case, AUTO, True)).step
    times = timed(contenders, rounds)
    for baseline, goal in case.speeds.items():
        for threads in (2, 1):
            found = ratios(times[baseline, threads], times[AUTO, threads])
            seconds = median(times[AUTO, threads])
            yield row(case.name, f"speed against {NAMES[baseline]}", threads, found, goal, seconds=seconds)
    yield row(case.name, "second core", 2, ratios(times[AUTO, 1], times[AUTO, 2]), case.second_core)
    few = min(case.batch, COUNTED)
    operations = _step(case, "plain", batch=few).operations("step") * case.batch / few
    for threads in (2, 1):
        torch.set_num_threads(threads)
        least = operations / peak(time.perf_counter, "cpu")
        found = [seconds / least for seconds in times[AUTO, threads] if seconds is not None]
        yield row(case.name, "limit", threads, found, case.limit, more=False)
    if case.kept is not None:
        for name, step in ((AUTO, steps[AUTO]), (AGAIN, again)):
            kept = step.saved_bytes("weight") / 1e6 / case.batch
            yield row(case.name, f"kept, {name}", 2, [kept], case.kept if name == AGAIN else None, more=False)
        for threads in (2, 1):
            yield row(case.name, f"time of {AGAIN}", threads, ratios(times[AGAIN, threads], times[AUTO, threads]))


def _step(case: Case, executor: str, checkpoint: bool = False, batch: int | None = None) -> Step:
    return Step(
        case.space, executor, batch or case.batch, case.image, False, "cpu", checkpoint=checkpoint, **case.build
    )


def network(rounds: int, batch: int, channels: int, cells: int) -> Iterator[Row]:
    """A training step of a settled network."""
    contenders = {
        name: settled.training_step(name == AUTO, batch, channels, cells) for name in (AUTO, BASELINE)
    }  # fmt: skip
    times = timed(contenders, rounds)
    for threads in (2, 1):
        found, seconds = ratios(times[BASELINE, threads], times[AUTO, threads]), median(times[AUTO, threads])
        yield row(SETTLED, "speed against plain NCHW", threads, found, SETTLED_GOAL, seconds=seconds)
    yield row(SETTLED, "second core", 2, ratios(times[AUTO, 1], times[AUTO, 2]))


def passes(rounds: int, batch: int, size: int, channels: int, cells: int) -> Iterator[Row]:
    """What the steps of Λ-DARTS and A²M cost."""
    made = gradients.steps("nasbench201", batch, size, AUTO, channels=channels, cells=cells)
    base = "whole step"
    times = timed({name: made[name] for name in (base, *(f"{base}, {more}" for more in COSTS))}, rounds)
    for more, goal in COSTS.items():
        for threads in (2, 1):
            found = ratios(times[f"{base}, {more}", threads], times[base, threads])
            yield row(GRADIENTS, f"cost of {more}", threads, found, goal, more=False)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = ["| case | what | threads | reached | range | goal | |", "|---|---|---|---|---|---|---|"]
    for r in rows:
        bound = "" if r.goal is None else f"{'≥' if r.more else '≤'} {r.goal:g}"
        verdict = "" if r.reached is None else "yes" if r.reached else "no"
        span = f"{r.low:.2f}–{r.high:.2f}" if r.rounds > 1 else ""
        lines.append(f"| {r.case} | {r.what} | {r.threads} | {r.value:.2f} | {span} | {bound} | {verdict} |")
    return "\n".join(lines) + "\n"


def parts(rounds: int, small: bool) -> Iterator[tuple[str, Callable[[], Iterator[Row]]]]:
    """Every case by name; ``small``: tiny ones, to try the program itself."""
    for case in CASES:
        if small:
            sizes = {NB201: {"channels": 4, "cells": 1}, "single_cell-regular": {"channels": 4}}
            build = sizes.get(case.space, {"channels": 4, "cells": 3})
            case = replace(case, build=build, image=8, batch=2)
        yield case.name, lambda case=case: supernet(case, rounds)
    yield SETTLED, lambda: network(rounds, *((2, 4, 3) if small else (32, 36, 20)))
    yield GRADIENTS, lambda: passes(rounds, *((2, 8, 4, 1) if small else (16, 32, 8, 2)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="on two threads; a third of them on one")
    parser.add_argument("--case", nargs="+", default=[""], help="only those whose names begin like one of these")
    parser.add_argument("--seconds", type=float, default=540, help="begin nothing new after so many")
    parser.add_argument("--small", action="store_true", help="tiny networks and batches, to try the program itself")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    chosen = parser.parse_args(arguments)
    start, rows = time.perf_counter(), list[Row]()
    for name, part in parts(chosen.rounds, chosen.small):
        if not name.startswith(tuple(chosen.case)):
            continue
        if time.perf_counter() - start > chosen.seconds:
            print(f"{name}: left out, it is too late")
            continue
        found = list(part())
        rows += found
        print(f"{table(found)}\n{time.perf_counter() - start:.0f} s so far\n", flush=True)
        about = f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, {chosen.rounds} rounds"
        if chosen.json:
            chosen.json.write_text(json.dumps({"about": about, "rows": [asdict(row) for row in rows]}, indent=1))
        if chosen.markdown:
            chosen.markdown.write_text(f"{about}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
