"""The benchmark of the gradients runs on small sizes; its memory ratios, unlike seconds, hold on any machine.

Alone, `LayerAlignment` needs more than `Plain`, since it collects the gradients of the sites; that is no more than the
alpha step of the same search needs anyway.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = {
    "nasbench201": ["--channels", "8", "--cells", "2", "--size", "32", "--batch", "16"],
    "darts": ["--channels", "8", "--cells", "3", "--size", "32", "--batch", "16"],
}
"""Smaller ones keep so little of their maps that the gradients of the weights, kept thrice, would be most of it."""


@pytest.mark.slow
@pytest.mark.parametrize("space", [*SMALL])
def test_finite_differences_need_hardly_more_memory_than_their_base(space: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, str(ROOT / "benchmarks/gradients.py"), "--space", space, *SMALL[space]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--rounds", "1", "--json", str(file)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    rows = {row["step"]: row for row in json.loads(file.read_text())}
    assert rows["Plain"]["ratio"] == rows["FirstOrder"]["memory_ratio"] == rows["whole step"]["ratio"] == 1
    for step in ("FlatMinima", "whole step, LayerAlignment", "whole step, FlatMinima", "whole step, both"):
        assert rows[step]["memory_ratio"] <= 1.3
        assert f"{step:>28}" in done.stdout
