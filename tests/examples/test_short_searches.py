"""The study of short searches at the smallest scale: a row per budget and rule, and nothing searched twice."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import programs
import pytest

from archgrad import spaces, tables
from archgrad.tables import Table
from archgrad.tables import nasbench201 as numbering


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return programs.program("examples/short_searches.py")


def test_a_row_per_budget_and_rule(program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = numbering.cells()
    columns = {program.METRIC: np.full(len(digits), 42.0)}
    made = Table("made", spaces.get("nasbench201"), digits, np.arange(len(digits)), numbering.isomorphs(), columns)
    table = tables.save(made, tmp_path / "made.parquet")
    scale = {"seeds": 2, "epochs": "1,2", "count": 128, "image_size": None, "channels": 2, "batch_size": 32}
    scale["executor"] = "plain"

    def rows() -> list[list[str]]:
        program.study("digits", str(table), str(tmp_path / "runs"), **scale)
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
        return [[entry.strip() for entry in line.strip("|").split("|")] for line in lines]

    head, _, *first = rows()
    first, compared = first[:4], first[6:]
    assert tuple(head) == program.COLUMNS
    assert [row[:2] for row in first] == [[steps, lr] for steps in ("2", "4") for lr in (first[0][1], "0.1")]
    assert all(row[4] == "2 of 2" for row in first if row[1] != "0.1"), "published numbers move nothing in a few steps"
    assert all(row[-1] == "42.00 ± 0.00" and 0 <= float(row[6]) <= 1 for row in first)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/metrics.jsonl")}
    assert compared == [[name, "+0.00", "+0.00 … +0.00", p] for name, p in (("1", "–"), ("2", "–"), ("all", "1.000"))]
    assert rows()[2:6] == first
    assert len(before) == 8


def test_the_comparison_of_five_seeds(program: ModuleType) -> None:
    """All five differences of one sign: 2 of the 32 assignments of signs are as far from 0. t(4) at 97.5 % is 2.776."""
    assert program.compared(np.array([1.0, 2, 3, 4, 5]), tested=True) == ["+3.00", "+1.04 … +4.96", "0.062"]
    assert program.compared(np.array([1.0, 2, 3, 4, 5]), tested=False)[-1] == "–"
