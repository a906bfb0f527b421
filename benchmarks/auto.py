"""That ``auto`` is nowhere slower than the plain loop: a grid of spaces, sizes, batches, mixtures and threads.

    python benchmarks/auto.py --json FILE

Whole first-order steps on channels_last maps, as in ``step.py``, of ``auto`` and of ``plain`` one after the other in
one process; shown is the median over rounds of the ratio of their times, and what ``auto`` took. ``--executor``
compares others as well. The program fails where ``auto`` takes another executor than ``plain`` and is slower beyond
noise: by more than 3 % in the median, and in three of four rounds. Where it takes ``plain`` alone, the ratio shows what
deciding costs. With two threads on a machine in use, set ``OMP_WAIT_POLICY=passive``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from step import Step

from archgrad.engine import EXECUTORS
from archgrad.engine.usage import Usage, recorded

GRID: tuple[tuple[str, dict[str, int], int], ...] = (
    ("darts", {"channels": 4, "cells": 3}, 8),
    ("darts", {"channels": 8, "cells": 4}, 16),
    ("darts", {"channels": 16, "cells": 8}, 32),
    ("darts", {"channels": 36, "cells": 4}, 32),
    ("robust_darts_s4", {"channels": 16, "cells": 3}, 32),
    ("wide-regular", {}, 16),
    ("deep-regular", {}, 16),
    ("single_cell-regular", {}, 16),
    ("nasbench201", {"channels": 4, "cells": 1}, 8),
    ("nasbench201", {"channels": 4, "cells": 5}, 16),
    ("nasbench201", {"channels": 8, "cells": 1}, 16),
    ("nasbench201", {"channels": 8, "cells": 2}, 16),
    ("nasbench201", {"channels": 16, "cells": 1}, 32),
    ("nasbench201", {"channels": 16, "cells": 5}, 32),
    ("nasbench201", {"channels": 32, "cells": 1}, 32),
    ("nasbench201", {"channels": 64, "cells": 1}, 16),
    ("nasbench1shot1_1", {"channels": 8, "cells": 1}, 16),
    ("nasbench1shot1_3", {"channels": 16, "cells": 3}, 32),
    ("nasbench1shot1_2", {"channels": 64, "cells": 1}, 16),
    ("transnasbench101", {"channels": 4}, 32),
    ("transnasbench101", {"channels": 16}, 64),
)
"""(space, size of the supernet, height and width of the images)."""
SLOWER = 0.97
"""The median ratio below which a difference is no noise, if three of four rounds agree."""


@dataclass
class Row:
    """``ratio``: time of plain over time of the executor, the median of rounds; ``low``, ``high``: their quartiles.

    ``taken``: what the cells were computed by.
    """

    space: str
    size: str
    image_size: int
    batch: int
    mixture: str
    threads: int
    executor: str
    taken: list[str]
    ratio: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """Whether the executor is slower than plain beyond noise."""
        return self.taken != ["plain"] and self.ratio < SLOWER and self.high < 1


def compare(
    case: tuple[str, dict[str, int], int], batch: int, sampled: bool, executors: Sequence[str], rounds: int
) -> list[Row]:
    """The rows of one supernet and batch; rounds alternate, and small steps are repeated within one."""
    space, build, image_size = case
    steps = {name: Step(space, name, batch, image_size, sampled, "cpu", **build) for name in ("plain", *executors)}
    taken = {}
    for name, step in steps.items():
        with recorded(usage := Usage()):
            step.step()
        taken[name] = sorted(usage.executors)
    start = time.perf_counter()
    steps["plain"].step()
    times = max(1, round(0.03 / (time.perf_counter() - start)))
    ratios: dict[str, list[float]] = {name: [] for name in executors}
    for _ in range(rounds):
        seconds = {}
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(times):
                step.step()
            seconds[name] = time.perf_counter() - start
        for name, found in ratios.items():
            found.append(seconds["plain"] / seconds[name])
    text = " ".join(f"{key}={value}" for key, value in build.items())
    return [
        Row(space, text, image_size, batch, "sampled" if sampled else "full", torch.get_num_threads(), name,
            taken[name], quartiles[1], quartiles[0], quartiles[2])
        for name, found in ratios.items()
        if (quartiles := statistics.quantiles(found, n=4, method="inclusive"))
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--space", nargs="+", help="only these; all of the grid by default")
    parser.add_argument("--executor", nargs="+", choices=["auto", *EXECUTORS], default=["auto"])
    parser.add_argument("--batch", nargs="+", type=int, default=[2, 16, 64])
    parser.add_argument("--mixture", nargs="+", choices=["full", "sampled"], default=["full", "sampled"])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    chosen = parser.parse_args(arguments)
    rows: list[Row] = []
    for threads in chosen.threads:
        torch.set_num_threads(threads)
        for case in GRID:
            if chosen.space and case[0] not in chosen.space:
                continue
            for batch in chosen.batch:
                for mixture in chosen.mixture:
                    found = compare(case, batch, mixture == "sampled", chosen.executor, chosen.rounds)
                    rows += found
                    shown = "  ".join(
                        f"{row.executor} {row.ratio:.2f} ({row.low:.2f}–{row.high:.2f}), {'+'.join(row.taken)}"
                        for row in found
                    )
                    first = found[0]
                    place = f"{first.space} {first.size} {first.image_size}×{first.image_size} batch {batch} {mixture}"
                    print(f"{place}, {threads} threads: {shown}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    slower = [row for row in rows if row.executor == "auto" and row.slower]
    if slower:
        raise SystemExit(f"auto is slower than plain in {len(slower)} of {len(rows)} cases")


if __name__ == "__main__":
    main()
