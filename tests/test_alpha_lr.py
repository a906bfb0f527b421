"""``lr="auto"``: alphas of short searches travel as far as published ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import archgrad
from archgrad import cli, methods, report, spaces
from archgrad.alpha_lr import alpha_epochs, auto
from archgrad.bench.protocol.suite import suite
from archgrad.data import Dataset
from archgrad.errors import ArchgradError
from archgrad.gradient import FlatMinima
from archgrad.method import AlphaOptimiser, Method
from archgrad.runs import Run

SPACE = spaces.get("nasbench201", channels=2, cells=1)


def test_the_travel_of_a_short_search_is_the_published_one() -> None:
    short = replace(methods.get("darts", "darts"), epochs=20)
    found = auto(short, "darts", steps=7)
    assert (found.published_steps, found.steps) == (19_500, 140)
    assert found.lr == pytest.approx(3e-4 * 19_500 / 140)
    assert found.lr * found.steps == pytest.approx(5.85)


def test_published_length_and_more_keep_the_published_number() -> None:
    published = methods.get("darts", "darts")
    for epochs, steps in ((50, 390), (50, 391), (100, 500)):
        assert auto(replace(published, epochs=epochs), "darts", steps).lr == 3e-4
    assert auto(replace(published, epochs=0), "darts", 7).lr == 3e-4


def test_no_single_batch_decides() -> None:
    short = replace(methods.get("darts", "darts"), epochs=1)
    assert auto(short, "darts", steps=40).lr == 0.1
    assert auto(short, "darts", steps=59).lr == pytest.approx(3e-4 * 19_500 / 59)


def test_epochs_without_alpha_steps_do_not_count() -> None:
    method = methods.get("pc_darts", "darts")
    assert auto(method, "darts", 97).published_steps == 35 * 97  # 50 epochs, the first 15 of weights only; batch 256
    assert auto(replace(method, epochs=20), "darts", 7).steps == 5 * 7
    assert alpha_epochs(methods.get("p_darts", "darts")) == 3 * 15


def test_flat_minima_travel_as_their_base() -> None:
    method = replace(methods.a2m("darts", "pc_darts"), epochs=20)
    assert auto(method, "darts", 30) == auto(replace(methods.get("pc_darts", "darts"), epochs=20), "darts", 30)


def test_a_method_of_another_name_travels_as_what_it_was_made_from() -> None:
    mine = replace(methods.get("pc_darts", "darts"), name="mine", epochs=20, architecture_gradient=FlatMinima(0.1))
    assert auto(mine, "darts", 30) == auto(replace(methods.get("pc_darts", "darts"), epochs=20), "darts", 30)


def test_an_arm_of_a_campaign_travels_as_its_method() -> None:
    entry = {"method": "gdas", "alpha_optimiser": {"lr": "auto"}}
    plan = suite()
    benchmark = plan.benchmark("wide-regular")
    arm, published = plan.method("mine", benchmark, entry), plan.method("gdas", benchmark, entry)
    assert auto(arm, "darts", 30) == auto(published, "darts", 30)


def test_nothing_published_is_one_line() -> None:
    with pytest.raises(ArchgradError, match=r"'mine': alpha_lr 'auto' scales published settings.*give a number"):
        auto(Method("mine"), "darts", 7)
    with pytest.raises(ArchgradError, match="lr must be a number above 0 or 'auto', got 'automatic'"):
        AlphaOptimiser(lr="automatic")  # type: ignore[arg-type]


def test_a_search_says_what_it_decided_and_records_what_it_used(digits: Dataset, tmp_path: Path) -> None:
    few = replace(digits, train=digits.train.take(torch.arange(64)))
    settings = {"epochs": 2, "batch_size": 16, "progress": False, "diagnose": 0, "device": "cpu"}
    published = methods.get("darts", "nasbench201")
    lr = published.alpha_optimiser.lr
    runs = {}
    for name, chosen in (("published", lr), ("auto", "auto")):
        method = replace(published, alpha_optimiser=replace(published.alpha_optimiser, lr=chosen))
        found = archgrad.search(SPACE, method, few, out=tmp_path / name, **settings)
        assert found.decision is not None
        assert found.decision.steps == 4
        runs[name] = found, json.loads((tmp_path / name / "result.json").read_text())
    found, result = runs["published"]
    assert found.decision.verdict == result["decision"]["verdict"] == "hardly moved"
    assert found.undecided == result["undecided"]
    assert f"(auto would be 0.1 here, not {lr:.3g})" in found.undecided
    assert result["alpha_lr"] == lr
    page = report.write(tmp_path / "published").read_text()
    assert page.index("The weights have hardly moved") < page.index("Search time")
    found, result = runs["auto"]
    assert found.decision.lr == result["alpha_lr"]["lr"] == 0.1
    assert result["alpha_lr"]["steps"] == 4
    config = Run.open(tmp_path / "auto").config
    assert '"lr": "auto"' in json.dumps(config["method"])
    again = archgrad.search(SPACE, method, few, out=tmp_path / "auto", **settings)
    assert again.decision == found.decision


def test_alphas_that_were_not_trained_decide_nothing(digits: Dataset) -> None:
    few = replace(digits, train=digits.train.take(torch.arange(64)))
    found = archgrad.search(
        SPACE, "random_search", few, epochs=1, batch_size=16, progress=False, diagnose=0, device="cpu"
    )
    assert found.decision is found.undecided is None


def test_the_terminal_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = ["--channels", "2", "--cells", "1", "--epochs", "1", "--batch_size", "256", "--device", "cpu"]
    shared += ["--diagnose", "0", "--progress", "false"]
    for name, alpha_lr in (("published", None), ("auto", "auto")):
        chosen = [] if alpha_lr is None else ["--alpha_lr", alpha_lr]
        cli.main(["search", "--out", str(tmp_path / name), *shared, *chosen])
        said = capsys.readouterr().out.splitlines()
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["undecided"] in said
        assert result["decision"]["lr"] == (0.1 if alpha_lr else methods.get("darts", "nasbench201").alpha_optimiser.lr)
