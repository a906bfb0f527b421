"""The diagnostics section of a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from archgrad.report.diagnostics import OVERALL, PER_GROUP, diagnostics
from archgrad.report.rundata import RunData


def with_records(directory: Path, every: int) -> Path:
    path = directory / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records[every - 1 :: every]:
        for measure in PER_GROUP:
            record |= {f"{measure}/{group}": 0.1 * record["epoch"] for group in ("normal", "reduce")}
        record |= dict.fromkeys(OVERALL, 0.2)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return directory


def test_one_chart_per_measure_and_one_line_per_group(plant: Callable[..., Path]) -> None:
    section = diagnostics(RunData.read(with_records(plant("darts", epochs=12), 3)))
    assert section is not None
    assert section.title == "Diagnostics"
    assert section.body.count("<svg") == len(PER_GROUP) + len(OVERALL)
    assert section.body.count("<path") == 2 * len(PER_GROUP) + len(OVERALL)
    assert section.body.count("<tr>") == 1 + 4, "the epochs that were looked at"
    assert "normal" in section.body


def test_a_run_without_them_has_no_section(plant: Callable[..., Path]) -> None:
    assert diagnostics(RunData.read(plant("nasbench201"))) is None


def test_odd_values_leave_gaps(plant: Callable[..., Path]) -> None:
    directory = with_records(plant("darts", epochs=6), 2)
    path = directory / "metrics.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    records[1] |= {"eigenvalue": "many", "alignment/normal": None}
    del records[3]["skips/reduce"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    section = diagnostics(RunData.read(directory))
    assert section is not None
    assert "–" in section.body
