"""How often the demo succeeds: its searches and trainings from many seeds, beside random networks.

    python benchmarks/demo.py --seeds 20 --out runs/demo-seeds

prints a row per seed: the test accuracies of what the searches found, which of them is chosen by validation, the random
networks' mean, deviation and best, and what the report's first line says. Below are the counts that docs/demo.md tells.
Seeds that are there already are read, so that a long measurement can be made in parts (`--first 5 --seeds 5`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from archgrad import demo
from archgrad.comparison import BESIDE, best_of
from archgrad.report.rundata import RunData
from archgrad.standing import LEVEL, Standing

MARGIN = 0.02
"""By how much a demo should be better than the mean of its random networks."""


@dataclass(frozen=True)
class Demo:
    """One run of the demo."""

    seed: int
    standing: Standing
    chosen: float
    """Test accuracy of the found network that is the best by validation."""


def measured(seed: int, out: Path) -> Demo:
    """The demo from this seed, run unless it is there."""
    runs = [str(out / f"search-{number}") for number in range(demo.SEARCHES)]
    if not all(Path(run, BESIDE).exists() for run in runs):
        with contextlib.redirect_stdout(io.StringIO()):
            demo.run(out, seed)
    standing, chosen = RunData.read(runs[0]).standing, RunData.read(best_of(runs)).found
    assert standing is not None
    assert chosen is not None
    assert chosen.score is not None
    return Demo(seed, standing, chosen.score)


def row(one: Demo) -> str:
    """A line of the table."""
    standing, deviation = one.standing, 100 * (one.standing.std or 0)
    found = ", ".join(f"{100 * score:.1f}" for score in standing.found)
    return (
        f"| {one.seed} | {found} | {100 * one.chosen:.1f} | {100 * standing.mean:.1f} ± {deviation:.1f} "
        f"| {100 * standing.best:.1f} | {standing.p_value:.3f} | {standing.superiority:.2f} |"
    )


def summary(demos: list[Demo]) -> list[str]:
    """What the table says in all."""
    count = len(demos)
    counts = {
        f"chosen network at least {100 * MARGIN:.0f} points above the random mean": [
            d.chosen >= d.standing.mean + MARGIN for d in demos
        ],
        f"mean of the found networks at least {100 * MARGIN:.0f} points above the random mean": [
            d.standing.found_mean >= d.standing.mean + MARGIN for d in demos
        ],
        "chosen network better than the best random one": [d.chosen > d.standing.best for d in demos],
        f"report says better than chance (p ≤ {LEVEL})": [d.standing.p_value <= LEVEL for d in demos],
    }
    found = [score for d in demos for score in d.standing.found]
    random = [score for d in demos for score in d.standing.random]
    return [
        *(f"{name}: {sum(values)} of {count}" for name, values in counts.items()),
        f"found networks: {100 * statistics.fmean(found):.1f} ± {100 * statistics.stdev(found):.1f} ({len(found)})",
        f"random networks: {100 * statistics.fmean(random):.1f} ± {100 * statistics.stdev(random):.1f} ({len(random)})",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--out", type=Path, default=Path("runs/demo-seeds"))
    given = parser.parse_args()
    print("| seed | found | chosen | random | best random | p | effect |\n|---|---|---|---|---|---|---|")
    demos, started = [], time.monotonic()
    for seed in range(given.first, given.first + given.seeds):
        demos.append(measured(seed, given.out / str(seed)))
        print(row(demos[-1]), flush=True)
    print("\n" + "\n".join(summary(demos)))
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
