"""The benchmarks run on small sizes, and what other programs read from them has its names and its meaning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--channels", "4", "--cells", "3", "--size", "8", "--batch", "2", "--rounds", "1"]


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_step_writes_rows_that_other_programs_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    size = [option.replace("--size", "--image_size") for option in SMALL]
    run("step.py", "--space", "darts", "--phase", "step", *size, "--json", str(file))
    rows = {row["executor"]: row for row in json.loads(file.read_text())}
    assert set(rows) == {"plain_nchw", "plain", "loop", "batched", "native"}
    for row in rows.values():
        assert set(row) >= {"space", "batch", "phase", "seconds", "ratio_to_plain_nchw", "ratio_to_plain_cl"}
        assert set(row) >= {"saved_bytes_per_image", "saved_ratio", "kernels", "ratio_to_limit"}
        assert row["ratio_to_limit"] > 1
    assert rows["plain_nchw"]["ratio_to_plain_nchw"] == rows["plain"]["ratio_to_plain_cl"] == 1
    # counts, unlike seconds, are the same on any machine
    assert rows["batched"]["kernels"] <= 0.25 * rows["plain_nchw"]["kernels"]
    assert rows["loop"]["saved_ratio"] <= 0.4


def test_peers_times_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "adapter.py").write_text(
        "def step(space, channels, cells, x, y):\n"
        "    assert (space, channels, cells) == ('darts', 4, 3) and x.shape == (2, 3, 8, 8) and y.shape == (2,)\n"
        "    return lambda: None\n"
    )
    assert "archgrad is" in run("peers.py", "--peer-path", str(tmp_path), *SMALL)


def test_settled_compares_with_plain_torch() -> None:
    assert "times as fast" in run("settled.py", "--channels", "4", "--cells", "3", "--batch", "2", "--rounds", "1")


def test_auto_is_compared_with_plain(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--executor", "loop", "--batch", "2", "--mixture", "sampled", "--threads", "1", "--rounds", "2"]
    assert "nasbench1shot1_1" in run("auto.py", "--space", "nasbench1shot1_1", *options, "--json", str(file))
    (row,) = json.loads(file.read_text())
    assert row["executor"] == "loop"
    assert row["low"] <= row["ratio"] <= row["high"]


def test_gpu_is_a_program_that_runs(tmp_path: Path) -> None:
    """Where there is no GPU, with all that needs one named; and right numbers decide how it ends."""
    file = tmp_path / "rows.json"
    options = ["--small", "--rounds", "1", "--part", "exact", "pointwise"]
    run("gpu.py", "--device", "cpu", *options, "--json", str(file))
    rows = json.loads(file.read_text())
    assert [row["right"] for row in rows if row["part"] == "exact"] == 6 * [True]
    assert sum(row["part"] == "pointwise" for row in rows) == 4
