"""What a few characters ask for is bounded, and settings that cannot work are one line."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import archgrad
from archgrad import data, spaces
from archgrad.bench import Campaign, suite
from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.method import WeightOptimiser
from archgrad.recipes import Recipe
from archgrad.runs import Run
from archgrad.tables import load

TRAINING = {"epochs": 1, "batch_size": 8, "lr": 0.1}
SUITE: dict[str, Any] = {"name": "s", "subspaces": {"a": {"space": "nasbench201"}}, "training": TRAINING}
X, Y = torch.zeros(8, 1, 4, 4), torch.zeros(8, dtype=torch.int64)

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "tensors for data": (lambda: archgrad.search("nasbench201", "darts", (X, Y)), "got tuple"),  # type: ignore[arg-type]
    "a tensor for data": (lambda: data.load(X), "got Tensor"),  # type: ignore[arg-type]
    "channels": (lambda: spaces.get("nasbench201", channels=10**30), "channels must be a whole number, from 1"),
    "cells": (lambda: spaces.get("darts", cells=-1), "cells must be a whole number, from 1 to 10,000, got -1"),
    "steps": (lambda: spaces.get("darts", steps=3_000_000_000), "steps must be a whole number, from 1 to 50"),
    "nesterov": (lambda: Recipe(1, 8, 0.1, momentum=0, nesterov=True), "nesterov needs a momentum"),
    "nesterov of a search": (lambda: WeightOptimiser(momentum=0, nesterov=True), "nesterov needs a momentum"),
    "settings": (lambda: suite({**SUITE, "training": {**TRAINING, "lr": [0.1] * 2000}}), "2,000 settings"),
    "a zero byte": (lambda: Run.start("a\0b", {}), "cannot be the name of a file"),
    "a long name": (lambda: Run.start("a" * 300, {}), "File name too long"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("made", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_one_line(made: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArchgradError, match=message) as refused:
        made()
    assert len(str(refused.value)) < 400
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize("seeds", [3_000_000_000, 2**63, [2**63], [-1], -1, 0, 10**400, [0, 0], "many", [[0]]])
def test_seeds_of_a_campaign_are_bounded(seeds: Any, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"suite": SUITE, "directory": str(tmp_path / "c"), "seeds": seeds}))
    with pytest.raises(ArchgradError, match="seed"):
        Campaign.load(file)


def test_a_campaign_grows_within_bounds(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"suite": SUITE, "directory": str(tmp_path / "c"), "seeds": 2}))
    campaign = Campaign.load(file)
    assert len(campaign.with_more(seeds=3).seeds) == 5
    with pytest.raises(ArchgradError, match="3,000,000,000 seeds from 2 on are too many"):
        campaign.with_more(seeds=3_000_000_000)


def test_a_campaign_is_not_written_among_other_files(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"suite": SUITE, "directory": str(tmp_path), "seeds": 2}))
    with pytest.raises(ArchgradError, match=r"holds other files \(c\.yaml, …\) and no campaign"):
        Campaign.load(file).save()
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_a_published_genotype_is_longer_than_the_name_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    space = spaces.get("darts")
    text = space.format(space.random(torch.Generator().manual_seed(0)))
    assert len(text) > 255
    main(["show", text, "--space", "darts", "--channels", "4", "--cells", "3"])
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "ops,cifar10_test_200\n"])
def test_a_table_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ArchgradError, match=r"t\.csv"):
        load(tmp_path / "t.csv")


def test_a_campaign_begins_where_its_first_write_was_cut_short(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"suite": SUITE, "directory": str(tmp_path / "c"), "seeds": 2}))
    left, old = (tmp_path / "c" / f".campaign.yaml.{number}.tmp" for number in (1, 2))
    left.parent.mkdir()
    left.touch()  # another process may be writing it
    old.touch()
    os.utime(old, (0, 0))
    Campaign.load(file).save()
    assert {path.name for path in left.parent.iterdir()} == {"campaign.yaml", left.name}


def test_only_what_a_kill_left_is_nobodys(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump({"suite": SUITE, "directory": str(tmp_path / "c"), "seeds": 2}))
    precious = tmp_path / "c" / "notes.tmp"
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(ArchgradError, match=r"holds other files \(notes\.tmp, …\) and no campaign"):
        Campaign.load(file).save()
    with pytest.raises(ArchgradError, match=r"holds other files \(notes\.tmp, …\) and no run"):
        Run.start(precious.parent, {})
