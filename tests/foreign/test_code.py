"""Code that files name is not imported, let alone run, unless the user says so; nor is what happens to lie around."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

import archgrad
from archgrad import comparison
from archgrad.bench import Campaign
from archgrad.bench.protocol.compute import attempt
from archgrad.bench.protocol.unit import Unit
from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.foreign import code
from archgrad.runs import CONFIG

SOURCE = """
import pathlib
pathlib.Path(__file__).with_name("RAN").touch()
import archgrad
from archgrad import Method, data
def called(*args, **kwargs):
    pathlib.Path(__file__).with_name("CALLED").touch()
    return Method("mine", epochs=0)
class Mine(archgrad.relaxation.Softmax if hasattr(archgrad, "relaxation") else object):
    pass
"""

SUITE: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "limit": 128},
    "subspaces": {"one": {"space": "nasbench201", "channels": 2, "cells": 1}},
    "search": {"epochs": 1, "batch_size": 16},
    "training": {"epochs": 1, "batch_size": 16, "lr": 0.1},
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a module of somebody else, which notes whether it was imported."""
    (tmp_path / "stranger.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("stranger", None)


def ran(place: Path) -> bool:
    return (place / "RAN").exists()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    return said


@pytest.mark.parametrize(
    "settings",
    [
        {"space": "stranger:called"},
        {"data": "stranger:called"},
        {"relaxation": "stranger.Mine"},
        {"relaxation": {"class_path": "stranger.Mine"}},
        {"relaxation.class_path": "stranger.Mine"},
        {"regularisers": [{"class_path": "archgrad.regularisers.Entropy"}, "stranger.Mine"]},
        {"architecture_gradient": {"class_path": "FlatMinima", "init_args": {"inner": "stranger.Mine"}}},
        {"discretisation": "archgrad.__main__.main"},
    ],
)
def test_a_configuration_file_runs_nothing_of_its_own(
    settings: dict[str, Any], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "c.yaml").write_text(yaml.safe_dump(settings))
    for also in ([], ["--trust", "false"]):
        said = refused(capsys, "search", "--config", "c.yaml", "--epochs", "0", *also)
        assert "c.yaml names code that would be imported and run: " in said
        assert "--trust" in said
    assert not ran(place)


@pytest.mark.parametrize("key", ["trust", "config", "relaxation.trust"])
def test_a_configuration_file_cannot_trust_itself_or_bring_another(
    key: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "other.yaml").write_text("relaxation: {class_path: stranger.Mine}\n")
    (place / "c.yaml").write_text(yaml.safe_dump({key: "other.yaml" if key == "config" else True}))
    assert "does not belong into a file" in refused(capsys, "search", "--config", "c.yaml")
    assert "--conf:" in refused(capsys, "search", "--conf", "other.yaml"), "not even by an abbreviation"
    assert "other" in refused(capsys, "search", "--relaxation", "other.yaml"), "a value is not read as a file"
    assert not ran(place)


def test_what_is_typed_or_trusted_runs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected a function that returns a torch.nn.Module" in refused(
        capsys, "search", "--space", "stranger:called"
    )
    assert (place / "CALLED").exists()
    for name in ("RAN", "CALLED"):
        (place / name).unlink()
    sys.modules.pop("stranger")
    (place / "c.yaml").write_text("space: stranger:called\n")
    refused(capsys, "search", "--config", "c.yaml", "--trust")
    assert (place / "CALLED").exists()


CAMPAIGNS: dict[str, dict[str, Any]] = {
    "method": {"methods": [{"name": "x", "method": "stranger:called"}]},
    "os": {"methods": [{"name": "x", "method": "os:system", "options": {"command": "touch RAN"}}]},
    "own": {"methods": [{"name": "x", "method": "archgrad.runs:atomic_write", "options": {"path": "RAN", "data": ""}}]},
    "component": {"methods": [{"name": "darts", "relaxation": {"class_path": "stranger.Mine"}}]},
    "several": {"methods": [{"name": "darts", "regularisers": [{"class_path": "stranger.Mine"}]}]},
    "attack": {"changes": {"training": {"adversarial": {"class_path": "stranger.Mine"}}}},
    "data": {"data": "stranger:called"},
}


@pytest.mark.parametrize("change", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_a_campaign_of_somebody_else_is_looked_at_without_running_it(
    change: dict[str, Any], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planned, shown, merged and reported; computing it asks first, and names what it would import."""
    for name in ("mine", "theirs"):
        raw = {"suite": SUITE, "directory": name, "seeds": 1, "methods": ["darts"]}
        (place / f"{name}.yaml").write_text(yaml.safe_dump(raw | (change if name == "theirs" else {})))
    theirs = Campaign.load("theirs.yaml")
    theirs.save()
    main(["bench", "plan", "theirs.yaml"])
    assert "times are left out" in capsys.readouterr().out
    main(["bench", "plan", "theirs"])
    main(["bench", "status", "theirs"])
    unit = next(iter(theirs.trials())).searches[0]
    theirs.store.add("x", [{"unit": unit.id, **unit._asdict(), "genotype": "|a|"}])
    assert "nothing has a score yet" in refused(capsys, "bench", "report", "theirs")
    if "methods" in change:
        Campaign.load("mine.yaml").save()
        with suppress(SystemExit):
            main(["bench", "merge", "mine", "theirs"])
        capsys.readouterr()
    said = refused(capsys, "bench", "run", "theirs", "--workers", "1")
    assert "names code that would be imported and run" in said
    assert not any((place / name).exists() for name in ("RAN", "CALLED"))
    assert code.refused(theirs.code) == [name for name in theirs.code if name in said]


def test_a_campaign_of_ones_own_runs_when_it_is_trusted(place: Path) -> None:
    raw = {"suite": SUITE, "directory": "own", "seeds": 1, "methods": [{"name": "x", "method": "stranger:called"}]}
    (place / "own.yaml").write_text(yaml.safe_dump(raw))
    campaign = Campaign.load("own.yaml")
    campaign.save()
    record, problem = attempt(campaign.directory, Unit("one", 0, "x"), "cpu")
    assert record is None
    assert "--trust" in problem
    record, problem = attempt(campaign.directory, Unit("one", 0, "x"), "cpu", True)
    assert record is not None, problem


def test_a_run_of_somebody_else_brings_no_data_of_its_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = place / "run"
    run.mkdir()
    config = {"command": "search", "space": "nasbench201", "data": "stranger:called", "image_size": None}
    (run / CONFIG).write_text(yaml.safe_dump(config))
    genotype = {"space": "nasbench201", "choices": {"cell": [["none"]] * 6}}
    (run / "genotype.json").write_text(json.dumps({**genotype, "text": "000000"}))
    for command in (lambda: comparison.dataset_of(run), lambda: comparison.train_found(run)):
        with pytest.raises(ArchgradError, match=r"names code .*stranger:called"):
            command()
    assert "names code" in refused(capsys, "train", "run")
    main(["report", "run"])
    main(["show", "run"])
    assert not ran(place)
    with archgrad.trusting(), pytest.raises(ArchgradError, match="must return a Dataset"):
        comparison.dataset_of(run)


@pytest.mark.parametrize(
    "command", ["list spaces", pytest.param("bench run c.yaml --workers 1 --progress false", marks=pytest.mark.slow)]
)
def test_no_file_of_the_working_directory_stands_in_for_an_installed_package(command: str, tmp_path: Path) -> None:
    """``python -m archgrad`` and the processes that it starts; only a component that the user names is found there."""
    for name in ("sklearn", "torch", "numpy", "json", "yaml", "filelock", "socket", "foolbox"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\nraise SystemExit('{name}')\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(archgrad.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONSAFEPATH", None)
    program = [sys.executable, "-m", "archgrad"]
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"suite": SUITE, "directory": "c", "seeds": 1, "methods": ["random_genotype"]})
    )
    done = subprocess.run([*program, *command.split()], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "RAN").exists()
