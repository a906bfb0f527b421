"""The collapse study at the smallest scale: it searches, looks up, draws, does nothing twice, and watches unseen."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from archgrad import search, spaces, tables
from archgrad.data import load
from archgrad.tables import Table
from archgrad.tables import nasbench201 as numbering

PROGRAM = Path(__file__).resolve().parents[2] / "examples/collapse.py"


@pytest.fixture(scope="module")
def collapse() -> ModuleType:
    spec = importlib.util.spec_from_file_location("collapse", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["collapse"] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every convolution of a cell is worth 10 %."""
    digits = numbering.cells()
    accuracy = 10.0 * np.isin(digits, (2, 3)).sum(1) + 20
    index = np.arange(len(digits))
    made = Table(
        "made", spaces.get("nasbench201"), digits, index, numbering.isomorphs(), {"cifar10_test_200": accuracy}
    )
    return tables.save(made, tmp_path_factory.mktemp("table") / "made.parquet")


def study(table: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    scale = "--image_size null --count 128 --epochs 1 --seeds 1 --channels 2 --cells 1 --batch_size 32 --workers 1"
    command = [sys.executable, PROGRAM, "--images", "digits", "--table", table, "--out", out, *scale.split(), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
def test_the_study_end_to_end(table: Path, tmp_path: Path):
    methods = ("--methods", "a2m(drnas),random")
    done = study(table, tmp_path, *methods)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "a2m-drnas-0",
        "random-0",
        "numbers.csv",
        "summary.json",
        "collapse.png",
        "collapse.svg",
    }
    with (tmp_path / "numbers.csv").open() as file:
        start, end, drawn = csv.DictReader(file)
    assert (start["epoch"], end["epoch"], drawn["method"]) == ("0", "1", "random")
    for row in (start, end, drawn):
        assert float(row["accuracy"]) == 20 + 10 * sum(row["cell"].count(digit) for digit in "23")
        assert int(row["skips"]) == row["cell"].count("1")
    assert -1 <= float(end["alignment"]) <= 1
    assert "0" not in start["cell"] + end["cell"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [entry["method"] for entry in summary["methods"]] == ["a2m(drnas)", "random"]
    assert summary["methods"][0]["accuracy"] == float(end["accuracy"])
    assert summary["settings"]["count"] == 128

    before = (tmp_path / "a2m-drnas-0/metrics.jsonl").read_bytes()
    again = study(table, tmp_path, *methods)
    assert again.stdout == done.stdout
    assert (tmp_path / "a2m-drnas-0/metrics.jsonl").read_bytes() == before


def test_a_mistake_is_one_line(table: Path, tmp_path: Path):
    for options, message in {
        ("--methods", "dart"): "collapse: unknown method 'dart': did you mean 'darts'",
        ("--table", "nothing.csv"): "collapse: nothing.csv: no such file",
    }.items():
        done = study(table, tmp_path, *options)
        assert done.returncode == 1
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1


def test_watching_leaves_the_search_as_it_is(collapse: ModuleType):
    settings = collapse.Settings("digits", 128, None, 2, 1, 2, 32)
    dataset = collapse.dataset("digits", None, 128)
    assert len(dataset.train) == 128
    assert len(dataset.test) == len(load("digits").test)
    watched = collapse.method("a2m(drnas)", settings)

    def alphas(method: object) -> np.ndarray:
        space = spaces.get("nasbench201", channels=2, cells=1)
        found = search(space, method, dataset, batch_size=32, device="cpu", progress=False)
        assert all(("alignment" in record) == (method is watched) for record in found.history)
        return found.alphas["cell"]

    assert (alphas(watched) == alphas(replace(watched, schedules=()))).all()


def test_argmax_saturation_and_summary(collapse: ModuleType):
    alphas = np.zeros((6, 5))
    alphas[:, 0], alphas[:, 3] = 2, 1
    assert collapse.strongest(alphas, keep_none=True) == "000000"
    assert collapse.strongest(alphas, keep_none=False) == "333333"
    e = np.exp([2, 0, 0, 1, 0])
    assert collapse.mixture("a2m(darts)", alphas)[0] == pytest.approx(e / e.sum())
    assert collapse.mixture("a2m(drnas)", alphas)[0] == pytest.approx(np.array([3, 1, 1, 2, 1]) / 8)
    rows = [
        {"method": "m", "seed": seed, "epoch": e, "accuracy": a, "skips": 2, "evaluation_loss": loss}
        for seed, points in enumerate([[(80, None), (90, 1.0), (70, 2.0)], [(80, None), (60, 2.0), (50, 1.0)]])
        for e, (a, loss) in enumerate(points)
    ]
    (found,) = collapse.summarise(rows)
    assert (found["accuracy"], found["min"], found["highest_on_the_way"]) == (60, 50, 85)
    assert found["std"] == pytest.approx(np.std([70, 50], ddof=1))
    assert found["accuracy_at_lowest_validation_loss"] == 70
