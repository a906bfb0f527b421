"""What ``archgrad landscape`` prints is what the public functions return, and the figures are there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from archgrad import landscape, tables
from archgrad.cli import main
from archgrad.errors import ArchgradError
from archgrad.landscape import commands
from archgrad.tables import Table


@pytest.fixture
def saved(additive: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """A table of made-up accuracies of all cells, found by the name ``made-up``."""
    monkeypatch.setenv("ARCHGRAD_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    tables.save(additive, tmp_path / "made-up.parquet")
    return additive


def is_picture(path: str) -> bool:
    with Image.open(path) as image:
        return min(image.size) > 200


def test_neighbourhood_of_one_cell(saved: Table, capsys: pytest.CaptureFixture[str]):
    main(["landscape", "neighbourhood", "333133", "--table", "made-up", "--metric", "one", "--out", "n.png"])
    header, *rows, figure = capsys.readouterr().out.splitlines()
    assert re.split("  +", header) == [
        "around",
        "radius",
        "cells",
        "neighbours",
        "own mean",
        "mean",
        "std",
        "min",
        "median",
        "max",
    ]
    assert [row.split()[1:4] for row in rows] == [["1", "1", "24"], ["2", "1", "240"], ["3", "1", "1,280"]]
    for radius, row in enumerate(rows, start=1):
        around = landscape.neighbourhood(saved, "333133", radius, metric="one")
        assert row.split()[5:7] == [f"{around.mean:.2f}", f"{around.std:.2f}"]
    assert figure == "figure: n.png"
    assert is_picture("n.png")


def test_path_between_two_cells(saved: Table, capsys: pytest.CaptureFixture[str]):
    main(["landscape", "path", "000000", "111000", "--table", "made-up", "--metric", "two", "--out", "p.svg"])
    first, header, *rows, figure = capsys.readouterr().out.splitlines()
    barrier = landscape.barrier(saved, "000000", "111000", metric="two")
    assert first == f"000000 to 111000: 6 shortest paths of 3 edits, barrier {barrier:.2f}"
    assert header.split() == ["edits", "mean", "std", "min", "max"]
    assert len(rows) == 4
    assert float(rows[0].split()[1]) == pytest.approx(saved.value("000000", "two"), abs=0.005)
    assert figure == "figure: p.svg"
    assert "<svg" in Path("p.svg").read_text()


def test_optima_and_a_map(saved: Table, capsys: pytest.CaptureFixture[str]):
    main(["landscape", "optima", "--table", "made-up", "--metric", "one", "--merge", "false", "--out", "map.png"])
    first, header, row, last, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("1 local optima of 15,625 architectures; ")
    assert first.endswith("at the best from 100.0%")
    assert header.split() == ["index", "one", "basin", "architecture"]
    assert int(row.split()[0]) == saved.best("one")[0].index
    assert "best 156: " in last
    assert is_picture("map.png")


def test_the_published_figures(nasbench: Table, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    path = tmp_path / "nasbench201.parquet"
    tables.save(nasbench, path)
    barriers = []
    for dataset in ("cifar10", "cifar100", "in16"):
        commands.path(table=str(path), metric=f"{dataset}_test_200")
        barriers += re.findall(r"(\w): 6 shortest paths of 3 edits, barrier (\S+)", capsys.readouterr().out)
    assert barriers[:3] == [("A", "0.31"), ("B", "22.93"), ("C", "65.41")]
    assert len(barriers) == 9
    commands.neighbourhood(table=str(path), above=10, radii=1)
    assert "A 1 3,162 75,842 92.86 92.14 1.62" in re.sub(" +", " ", capsys.readouterr().out)


def test_what_is_not_there_is_one_line(saved: Table, real: Callable[..., Table]):
    with pytest.raises(ArchgradError, match=r"nothing is published for 'one' \(cifar10, .*\): give an architecture"):
        commands.neighbourhood(table="made-up", metric="one")
    with pytest.raises(ArchgradError, match=r"nothing is published for .one. .*: give both ends"):
        commands.path(table="made-up", metric="one")
    with pytest.raises(ArchgradError, match="radii must be a whole number, 1 or more, got 0"):
        commands.neighbourhood("333133", table="made-up", metric="one", radii=0)
    with pytest.raises(ArchgradError, match="figures are written as"):
        commands.path("000000", "111000", table="made-up", metric="one", out="p.txt")
