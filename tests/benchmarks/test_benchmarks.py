"""The benchmarks run on small sizes, and what other programs read from them has its names and its meaning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--channels", "4", "--cells", "3", "--size", "8", "--batch", "2", "--rounds", "1"]


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    environment["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # what an earlier test compiled takes no time
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
    # counts, unlike seconds, are the same on any machine; torch 2.8 dispatches a third more than 2.14
    share = 0.25 if torch.torch_version.TorchVersion(torch.__version__) >= (2, 10) else 0.3
    assert rows["batched"]["kernels"] <= share * rows["plain_nchw"]["kernels"]
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


def test_methods_are_compared_with_darts() -> None:
    """What trains nothing is left out."""
    printed = run("methods.py", "--only", "darts,random_genotype,sdarts_random", "--channels", "4", "--steps", "1")
    rows = [[cell.strip("` ") for cell in line.split("|")[1:-1]] for line in printed.splitlines()[2:]]
    assert rows[0][::2] == ["darts", "1.00"]
    assert [name for name, *_ in rows] == ["darts", "sdarts_random"]


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


@pytest.mark.slow
def test_gpu_runs_to_its_end_where_there_is_no_gpu(tmp_path: Path) -> None:
    """Every part: steps in both precisions, a whole search, a compiled step; only what needs a GPU says so."""
    file = tmp_path / "rows.json"
    run("gpu.py", "--device", "cpu", "--small", "--rounds", "1", "--json", str(file))
    rows = json.loads(file.read_text())
    assert {row["part"] for row in rows} == {"machine", "exact", "step", "pointwise", "search", "compiled"}
    reasons = {(row["part"], row.get("mode"), row["reason"]) for row in rows if "reason" in row}
    assert {(part, mode) for part, mode, _ in reasons} == {("step", "graphs"), ("search", None)}
    assert all("GPU" in reason for *_, reason in reasons), reasons
    steps = {(row["space"], row["precision"]) for row in rows if row["part"] == "step" and "seconds" in row}
    assert steps == {(space, precision) for space in ("darts", "nasbench201") for precision in ("float32", "bf16")}
    (compiled,) = (row for row in rows if row.get("mode") == "compiled")
    assert compiled["seconds"] > 0


@pytest.mark.slow
def test_gpu_gives_up_what_takes_too_long(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    options = ["--small", "--rounds", "1", "--part", "compiled", "--seconds", "2"]
    run("gpu.py", "--device", "cpu", *options, "--json", str(file))
    reasons = [row["reason"] for row in json.loads(file.read_text()) if "reason" in row]
    assert any("given up after 2 s" in reason for reason in reasons)
    assert reasons[-1] == "left out: it was too late"


@pytest.mark.slow
def test_goals_are_measured_in_one_go(tmp_path: Path) -> None:
    """Every line of the goals of the engine, with JSON and Markdown; here on tiny networks."""
    data, page = tmp_path / "goals.json", tmp_path / "goals.md"
    run("goals.py", "--small", "--rounds", "1", "--json", str(data), "--markdown", str(page))
    rows = json.loads(data.read_text())["rows"]
    assert len({row["case"] for row in rows}) == 10
    goals = [(row["what"], row["goal"]) for row in rows if row["goal"] is not None]
    for goal in [
        *[("speed against plain channels_last", value) for value in (3.5, 3.4, 1.6, 5, 3, 3, 3, 3)],
        ("speed against plain NCHW", 7),
        ("speed against plain NCHW", 1.8),
        ("second core", 1.7),
        ("kept, checkpoint_cells", 20),
        ("limit", 3),
        ("cost of LayerAlignment", 2.5),
        ("cost of FlatMinima", 2.5),
    ]:
        goals.remove(goal)
    assert not goals
    assert {row["threads"] for row in rows} == {1, 2}
    assert page.read_text().count("\n| ") == len(rows) + 1
