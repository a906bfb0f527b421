"""The commands, and the benchmark, on small sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archgrad import tables
from archgrad.errors import ArchgradError
from archgrad.runs import Run
from archgrad.scoring import commands

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"channels": 4, "cells": 1, "progress": False}


def test_search_writes_a_run_that_can_be_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.search(method="croze", budget=6, out=str(tmp_path / "run"), **SMALL)
    said = capsys.readouterr().out
    assert "best of 6 scored" in said
    config = Run.open(tmp_path / "run").config
    assert config["command"] == "search"
    assert config["strategy"]["class"] == "WarmUpMove"
    assert (tmp_path / "run/report.html").is_file()
    commands.search(method="nwot+croze:pareto", budget=6, out=str(tmp_path / "front"), **SMALL)
    assert "on the Pareto front" in capsys.readouterr().out


def test_names_of_methods() -> None:
    assert commands.parse_method("croze") == (["croze"], "move")
    assert commands.parse_method("synflow:evolution") == (["synflow"], "evolution")
    assert commands.parse_method("nwot+croze") == (["nwot", "croze"], "pareto")
    assert commands.is_method("nwot+croze:pareto")
    assert commands.is_method("croze:evolutoin")  # … and is then refused by name, not as a method
    assert not commands.is_method("darts")
    with pytest.raises(ArchgradError, match="did you mean 'evolution'"):
        commands.parse_method("croze:evolutoin")
    with pytest.raises(ArchgradError, match="did you mean 'croze'"):
        commands.parse_method("crozee")


def test_score_and_correlate(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHGRAD_DATA", str(data))
    file = tmp_path / "scores.parquet"
    commands.score(proxy="snip,nwot", sample=12, out=str(file), **SMALL)
    assert "12 architectures" in capsys.readouterr().out
    assert list(tables.load(file).columns) == ["snip", "nwot", "params", "flops"]
    commands.correlate(scores=str(file), out=str(tmp_path / "a"), bootstrap=20)
    said = capsys.readouterr().out
    assert "12 cells" in said
    assert "aa_apgd-ce_eps1" in said
    rows = (tmp_path / "a/correlation.csv").read_text().splitlines()
    assert {row.split(",")[0].strip('"') for row in rows[1:]} == {"snip", "nwot", "params", "flops"}
    assert (tmp_path / "a/correlation.png").stat().st_size > 10_000
    study = {"proxies": "snip", "table": "nasbench201-adversarial", "sample": 9, "data": "digits", "bootstrap": 20}
    commands.correlate(**study, out=str(tmp_path / "b"), **SMALL)
    assert "autoattack" in capsys.readouterr().out
    assert len(tables.load(tmp_path / "b/scores.parquet")) == 9
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "nothing"))
    with pytest.raises(ArchgradError, match=r"of nb201_robustness, robustness; import .* archgrad table import"):
        commands.correlate(scores=str(file))


def test_the_benchmark_writes_rows(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [
        sys.executable,
        str(ROOT / "benchmarks/proxies.py"),
        "--cells-digits",
        "131313",
        "--proxies",
        "croze,snip",
    ]
    command += ["--channels", "4", "--cells", "1", "--rounds", "1", "--json", str(file)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert [(row["proxy"], row["cell"]) for row in json.loads(file.read_text())] == [
        ("croze", "131313"),
        ("snip", "131313"),
    ]
