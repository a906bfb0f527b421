"""Streaming where processes start anew: with a main guard it works, without one a line says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, sys
import torch
from archgrad import data
from archgrad.errors import ArchgradError
from archgrad.tasks import Task

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.full((2,), float(index)), index % 2

def main():
    multiprocessing.set_start_method({method!r}, force=True)
    task = Task(loss=lambda outputs, targets: outputs.sum(), outputs=2)  # which cannot be sent to a process
    rows = data.from_dataset(Rows(), Rows(), task=task)
    try:
        for x, y in data.Batches(rows.train, 4, workers=1).epoch():
            print(x[:, 0].tolist(), y.tolist())
    except ArchgradError as error:
        print(f"refused: {{error}}")

{call}
"""


def run(tmp_path: Path, method: str, call: str) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(method=method, call=call))
    source = str(Path(__file__).resolve().parents[2] / "src")
    env = {**os.environ, "PYTHONPATH": source}
    return subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=300, env=env)


@pytest.mark.parametrize("method", ["spawn", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_without_a_main_guard_one_line_says_so(tmp_path: Path, method: str):
    done = run(tmp_path, method, "main()")
    (line,) = done.stdout.splitlines()
    assert line.startswith("refused: streaming data start worker processes")
    assert line.endswith("put what it does under `if __name__ == '__main__':`")
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_with_a_main_guard_data_stream(tmp_path: Path, method: str):
    done = run(tmp_path, method, "if __name__ == '__main__':\n    main()")
    assert done.stdout.splitlines() == ["[0.0, 1.0, 2.0, 3.0] [0, 1, 0, 1]", "[4.0, 5.0, 6.0, 7.0] [0, 1, 0, 1]"]


@pytest.mark.slow
def test_a_guard_that_guards_nothing_is_noticed_in_the_worker(tmp_path: Path):
    done = run(tmp_path, "spawn", "print(end=__name__[:0])\nmain()")
    assert done.stdout.startswith("refused: streaming data start worker processes")
