"""`archgrad compare`: what differs, which runs repeat each other, and what the repetitions say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import planted_runs as plant
import pytest
from scipy import stats

from archgrad.cli import main
from archgrad.follow import sections
from archgrad.follow.comparing import Comparison
from archgrad.report.document import document
from archgrad.runs import Run
from archgrad.tasks import Regression

SCORES = {"darts": (0.80, 0.82, 0.84), "gdas": (0.90, 0.91, 0.95)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for method, scores in SCORES.items():
        for seed, score in enumerate(scores):
            plant.search(tmp_path / f"{method}-{seed}", method, seed, tested=score)
    return tmp_path


def test_repeated_runs_are_tested_as_scipy_does(place: Path) -> None:
    comparison = Comparison.of([place])
    assert set(comparison.settings) == {"seed", "method.name"}
    assert [(group.name, group.scores) for group in comparison.groups] == list(reversed(SCORES.items()))
    (pair,) = comparison.pairs
    assert (pair.first, pair.second) == ("gdas", "darts")
    assert pair.difference == pytest.approx(10.0), "in points of percent"
    assert pair.p_searches == pytest.approx(stats.ttest_ind(SCORES["gdas"], SCORES["darts"], equal_var=False).pvalue)
    assert pair.improvement == 1
    assert comparison.remarks == []


def test_groups_differ_in_more_than_the_seed(place: Path) -> None:
    plant.search(place / "other", "darts", 3, epochs=5, tested=0.5)
    comparison = Comparison.of([place])
    assert [len(group.runs) for group in comparison.groups] == [3, 3, 1]
    assert [group.name for group in comparison.groups][-1] == "name darts, epochs 5"
    once = Comparison.of([place / "darts-0", place / "gdas-0"])
    assert once.pairs == []
    assert "nothing can be said about chance" in once.remarks[0]


def test_scores_of_one_kind_are_compared(place: Path) -> None:
    for seed in (3, 4):
        plant.search(place / f"new-{seed}", "gdas", seed, accuracy=0.1)
    comparison = Comparison.of([place])
    assert comparison.kind is not None
    assert comparison.kind.label == "test accuracy"
    assert comparison.groups[0].scores == SCORES["gdas"]
    assert comparison.remarks == ["Compared is test accuracy; 2 of 8 runs have another score only."]


def test_only_finished_runs_count_and_each_seed_once(place: Path) -> None:
    plant.search(place / "stopped", "gdas", 7, done=1)
    shutil.copytree(place / "gdas-0", place / "copy of gdas-0")
    comparison = Comparison.of([place])
    assert sorted(comparison.groups[0].scores) == sorted(SCORES["gdas"])
    assert comparison.remarks == [
        "Compared is test accuracy; 1 of 8 runs have another score only.",
        "1 of 8 runs have the settings and the seed of another, and count once.",
    ]
    unfinished = Comparison.of([plant.search(place / name, seed=9, done=1) for name in ("early", "earlier")])
    assert "2 of 2 runs have not finished and are left out of the means." in unfinished.remarks


def test_less_is_better_where_the_task_says_so(tmp_path: Path) -> None:
    task = Regression().reading.record()
    for method, scores in {"darts": (0.5, 0.6), "gdas": (0.1, 0.2)}.items():
        for seed, score in enumerate(scores):
            with Run.start(tmp_path / f"{method}-{seed}", plant.settings(method, seed, task=task)) as run:
                run.log({"epoch": 2, f"evaluation_{task['primary']}": score})
                plant.finish(run)
    comparison = Comparison.of([tmp_path])
    assert [group.name for group in comparison.groups] == ["gdas", "darts"]
    (pair,) = comparison.pairs
    assert (pair.first, pair.improvement) == ("gdas", 1)


def test_text_json_and_page(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    main(["compare", str(place), "--html", str(page)])
    out = capsys.readouterr().out
    assert "gdas against darts" in out
    assert "method.name" in out
    assert plant.TEXT in out
    assert "▁" in out or "█" in out
    main(["compare", str(place / "gdas-1"), str(place / "darts-0"), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert [run["run"] for run in record["runs"]] == [str(place / "gdas-1"), str(place / "darts-0")]
    assert record["settings"] == {"seed": ["1", "0"], "method.name": ["gdas", "darts"]}
    assert record["genotypes"][str(place / "darts-0")] == plant.TEXT
    text = page.read_text()
    assert "http" not in text
    assert "<script" not in text
    for title in ("Runs", "Score and size", "Repetitions", "Settings that differ", "Curves", "Cells"):
        assert f"<h2>{title}</h2>" in text


def test_a_page_holds_no_code_of_a_run(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>\"'&"
    for seed in (0, 1):
        plant.search(tmp_path / f"{evil.replace('/', '')}{seed}", evil, seed, others={evil: evil}, tested=0.5)
    comparison = Comparison.of([tmp_path])
    text = document("x", "y", "z", sections.sections(comparison, lambda run: f"/run/{evil}"), "")
    assert "<img" not in text
    assert '"><' not in text.replace('"><', "", 0) or 'onerror=alert(1)>"' not in text
    assert "&lt;img" in text


def test_what_cannot_be_compared_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "empty")])
    assert "is no run, and there is none below it" in capsys.readouterr().err


def test_of_many_runs_the_best_are_shown(tmp_path: Path) -> None:
    for number in range(12):
        plant.search(tmp_path / str(number), seed=number, tested=number / 20)
    comparison = Comparison.of([tmp_path])
    assert [run.directory.name for run in comparison.shown] == [str(number) for number in range(4, 12)]
    (tmp_path / "5" / "alphas.npz").unlink()
    (tmp_path / "5" / "alphas.npz").symlink_to(tmp_path / "6" / "alphas.npz")
    (linked,) = [data for data in Comparison.of([tmp_path]).details if data.directory.name == "5"]
    assert "is a link" in linked.problems["run"]
