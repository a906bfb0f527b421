"""What a merge with the campaign of somebody else must leave alone."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archgrad.bench import Campaign
from archgrad.bench.protocol.merge import merge
from archgrad.bench.protocol.unit import Unit
from archgrad.cli import main
from archgrad.runs import CONFIG

Make = Callable[..., Campaign]


@pytest.fixture
def ours(make: Make) -> Campaign:
    """A campaign with one complete search, and a neighbour beside it."""
    campaign = make("ours", seeds=[0, 1])
    campaign.save()
    add(campaign, Unit("one", 0, "darts"), loss=1.0)
    beside = campaign.directory.parent / "x"
    beside.mkdir()
    (beside / "precious").write_text("precious")
    return campaign


@pytest.fixture
def theirs(make: Make) -> Campaign:
    """A campaign of the same suite from elsewhere."""
    campaign = make("theirs", seeds=[0, 1])
    campaign.save()
    return campaign


def add(campaign: Campaign, unit: Unit, **says: Any) -> dict[str, Any]:
    """A complete unit with its directory."""
    record = {"unit": unit.id, **unit._asdict(), "genotype": "|a|", **says}
    directory = campaign.directory / unit.id
    directory.mkdir(parents=True)
    (directory / CONFIG).write_text("a: 1\n")
    (directory / "unit.json").write_text(json.dumps(record))
    campaign.store.add(unit.id.replace("/", "~"), [record])
    return record


def content(directory: Path) -> dict[str, bytes | None]:
    """All files, and where links lead."""
    paths = [path for path in sorted(directory.rglob("*")) if "claims" not in path.parts]
    return {str(p): os.readlink(p).encode() if p.is_symlink() else p.read_bytes() for p in paths if not p.is_dir()}


@pytest.mark.parametrize("name", ["../x", "search", "search/one", "", ".", "/tmp", "../ours", "search/../../x/seed-0"])
def test_a_record_whose_name_is_a_path_changes_nothing(name: str, ours: Campaign, theirs: Campaign) -> None:
    record = {"unit": name, **Unit("one", 1, "darts")._asdict(), "genotype": "|b|"}
    theirs.store.add("evil", [record, {**record, "problem": "failed"}])
    for place in ("../x", "search"):
        (theirs.directory / place).mkdir(exist_ok=True)
    before = content(ours.directory.parent)
    found = merge(ours, theirs.directory)
    assert (found.added, found.passed_over) == (0, 2)
    assert content(ours.directory.parent) == before


def test_units_that_are_not_of_the_campaign_stay_where_they_are(ours: Campaign, theirs: Campaign) -> None:
    units = [Unit("two", 1, "darts"), Unit("one", 7, "darts"), Unit("one", 1, "strange")]
    for unit in units:
        add(theirs, unit)
    unfinished = theirs.directory / "search/two/darts/seed-0"
    unfinished.mkdir(parents=True)
    (unfinished / CONFIG).write_text("a: 1\n")
    found = merge(ours, theirs.directory)
    assert found.problems == {unit.id: "it is no unit of this campaign" for unit in units}
    assert (found.added, found.unfinished) == (0, 0)
    assert {path.name for path in (ours.directory / "search").iterdir()} == {"one"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["file", "directory", "endless", "pipe", "itself", "above"])
def test_only_regular_files_of_a_unit_are_copied(kind: str, ours: Campaign, theirs: Campaign, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    unit = Unit("one", 1, "darts")
    add(theirs, unit)
    odd = theirs.directory / unit.id / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind in ("file", "directory", "endless"):
        odd.symlink_to({"file": secret / "key", "directory": secret, "endless": "/dev/zero"}[kind])
    else:
        whole = odd.parent if kind == "itself" else odd.parent.parent
        os.rename(whole, tmp_path / "moved")
        whole.symlink_to(tmp_path / "moved")
    found = merge(ours, theirs.directory)
    assert list(found.problems) == [unit.id]
    assert "link" in found.problems[unit.id] or "pipe" in found.problems[unit.id]
    assert found.added == 0
    assert not (ours.directory / unit.id).exists()
    assert not [path for path in ours.directory.rglob("*") if path.name.endswith(".merge")]


@pytest.mark.parametrize("place", ["search", "search/one", "records", "claims", "train"])
def test_links_in_the_own_campaign_are_not_written_through(
    place: str, ours: Campaign, theirs: Campaign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for unit in (Unit("one", 1, "darts"), Unit("one", 0, genotype="|a|", setting="1")):
        add(theirs, unit, score=1.0)
    outside = tmp_path / "outside"
    outside.mkdir()
    here = ours.directory / place
    if here.exists():
        shutil.rmtree(here)
    here.symlink_to(outside)
    with pytest.raises(SystemExit) as ended:
        main(["bench", "merge", str(ours.directory), str(theirs.directory)])
    assert ended.value.code == 2
    assert "is a link" in capsys.readouterr().err
    assert not list(outside.iterdir())


def test_a_unit_that_does_not_fit_on_the_disk_is_not_begun(
    ours: Campaign, theirs: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = Unit("one", 1, "darts")
    add(theirs, unit)
    with (theirs.directory / unit.id / "sparse").open("wb") as file:
        file.truncate(1 << 42)
    found = merge(ours, theirs.directory)
    assert "are free" in found.problems[unit.id]
    assert not (ours.directory / unit.id).exists()


def test_what_is_right_comes_along(ours: Campaign, theirs: Campaign) -> None:
    unit = Unit("one", 1, "darts")
    record = add(theirs, unit, loss=0.5)
    found = merge(ours, theirs.directory)
    assert (found.added, found.problems) == (1, {})
    assert ours.store.records()[unit.id] == record
    assert (ours.directory / unit.id / CONFIG).read_text() == "a: 1\n"
