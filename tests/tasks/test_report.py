"""A search on numbers instead of classes, from the run to its report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from archgrad import comparison, data, methods, report, search, spaces
from archgrad.data import Dataset
from archgrad.report.rundata import RunData
from archgrad.runs import Run
from archgrad.tasks import Classification, MultiLabel, NextToken, Reading, Regression


def brightness() -> Dataset:
    """Images, and how bright they are."""
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    x = x + torch.linspace(-1, 1, 64)[:, None, None, None]
    y = x.mean((1, 2, 3))
    return data.from_tensors(x, y, x[::2], y[::2], task=Regression(), name="brightness")


def test_a_report_knows_metric_and_direction_of_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path / "no tables"))
    dataset, run = brightness(), tmp_path / "run"
    space = spaces.get("nasbench201", channels=4, cells=1)
    method = replace(methods.darts(), epochs=2, batch_size=16)
    search(space, method, dataset, out=run, device="cpu", progress=False)
    options = {"recipe": "quick", "epochs": 2, "batch_size": 16, "device": "cpu", "progress": False}
    found, *others = comparison.train_found(run, random=3, data=dataset, **options)
    for directory in (run, run / "train/found"):
        assert Reading.of(Run.open(directory).config["task"]) == dataset.task.reading
    standing = RunData.read(run).standing
    assert standing.found == (found.test.rmse,)
    assert standing.best == min(other.test.rmse for other in others)
    assert standing.rank(found.test.rmse) == 1 + sum(other.test.rmse < found.test.rmse for other in others)
    text = report.write(run).read_text()
    assert "accura" not in text.lower()
    for part in ("Test RMSE", "Supernet RMSE", "(lower is better)", "Loss gained by settling the supernet"):
        assert part in text
    shown = [float(value) for value in re.findall(r'class="nowrap">[\w-]+<.*?<td class="number">([\d.e-]+)<', text)]
    assert shown == sorted(shown)
    assert len(shown) == 4


@pytest.mark.parametrize(
    ("task", "written"),
    [
        (Classification(10), {"accuracy": "accuracy 50.00%", "top5": "top-5 50.00%"}),
        (MultiLabel(3), {"f1": "F₁ 50.00%"}),
        (Regression(), {"rmse": "RMSE 0.5"}),
        (NextToken(5), {"perplexity": "perplexity 0.5", "accuracy": "accuracy 50.00%"}),
    ],
)
def test_a_reading_survives_its_record(task, written: dict[str, str]):
    reading = Reading.of(task.reading.record())
    assert reading == task.reading
    assert {name: f"{reading.label(name)} {reading.written(name, 0.5)}" for name in written} == written
    assert reading.merit(2.0) == task.merit(2.0)


@pytest.mark.parametrize("damaged", [None, "text", {"primary": "rmse"}, {"shares": 3, "labels": {}}])
def test_a_damaged_record_counts_as_classification(damaged):
    assert Reading.of(damaged) == Reading()
