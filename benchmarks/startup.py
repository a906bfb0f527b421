"""Processor time until archgrad is there, beside that of torch: medians of processes started in turn.

    python benchmarks/startup.py [ROUNDS]

`import archgrad` imports nothing until something of it is used; `used` is the first use of `archgrad.search`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

PROGRAMS = {
    "import torch": "import torch",
    "import archgrad": "import archgrad",
    "archgrad.search used": "import archgrad; archgrad.search",
    "archgrad --help": "from archgrad.cli import main; main(['--help'])",
    "archgrad list models": "from archgrad.cli import main; main(['list', 'models'])",
}


def seconds(program: str) -> float:
    """User and system time of a process."""
    before = os.times()
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main(rounds: int = 7) -> None:
    """Measure and print."""
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds + 1):
        for name, program in PROGRAMS.items():
            times[name].append(seconds(program))
    torch = statistics.median(times["import torch"][1:])
    for name, found in times.items():
        middle = statistics.median(found[1:])  # the first round reads the files from the disk
        print(f"{name:22} {middle:5.2f} s   {middle - torch:+5.2f} s against torch")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
