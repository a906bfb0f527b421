"""Whole campaigns, interrupted, damaged, extended and merged, against undisturbed ones."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archgrad.bench import Campaign
from archgrad.bench.protocol import collect
from archgrad.bench.protocol.driver import run
from archgrad.bench.protocol.merge import merge
from archgrad.bench.protocol.store import Driver
from archgrad.bench.protocol.unit import Unit, completed
from archgrad.errors import ArchgradError

Make = Callable[..., Campaign]
Content = Callable[[Campaign], dict[str, Any]]
Units = Callable[[Campaign], dict[tuple[str, int, str], Unit]]


def go(campaign: Campaign, executor: Any, **options: Any) -> Any:
    lines: list[str] = []
    with executor:
        tally = run(Campaign.load(campaign.directory), executor, progress=False, say=lines.append, **options)
    tally.lines = lines
    return tally


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The directory of an undisturbed campaign, filled by the first test that needs it."""
    return [tmp_path_factory.mktemp("whole")]


@pytest.fixture
def undisturbed(whole: list[Path], make: Make, Inline: Any) -> Campaign:
    directory = whole[0] / "campaign"
    if not (directory / "records").is_dir():
        campaign = make("whole", directory=str(directory))
        campaign.save()
        tally = go(campaign, Inline())
        assert tally.computed == len(campaign) == 3 * 2 * 3
        assert not tally.problems
    return Campaign.open(directory)


def test_every_unit_is_one_complete_directory_and_is_computed_once(
    undisturbed: Campaign, Inline: Any, units_of: Units
) -> None:
    again = Inline()
    assert go(undisturbed, again).computed == 0
    assert again.seen == []
    for unit in units_of(undisturbed).values():
        record = completed(undisturbed.directory / unit.id)
        assert record is not None
        assert record["unit"] == unit.id
        assert not (undisturbed.directory / unit.id / "checkpoints").exists()
    assert not list((undisturbed.directory / "claims").iterdir())


def test_results_are_those_of_the_runs(undisturbed: Campaign, units_of: Units) -> None:
    found = collect.results(undisturbed)
    assert len(found) == 3 * 2 * 2
    assert found.title == "tiny · digits"
    assert not any("not complete" in remark for remark in found.remarks)
    assert set(found.frame.method) == {"darts", "random_genotype", "random_search"}
    row = found.frame[(found.frame.method == "darts") & (found.frame.seed == 1) & (found.frame.setting == "2")].iloc[0]
    directory = undisturbed.directory / units_of(undisturbed)["darts", 1, "2"].id
    result = json.loads((directory / "result.json").read_text())
    assert row.score == 100 * result["test"]["accuracy"]
    assert row.parameters == result["parameters"]
    searched = json.loads((undisturbed.directory / "search/one/darts/seed-1/genotype.json").read_text())
    assert row.genotype == searched["text"]
    assert {"curves", "diagnostics", "skips", "search_loss"} <= set(json.loads(row.extra))
    again = collect.Results.load(collect.write_results(undisturbed))
    assert again.frame.equals(found.frame)
    assert collect.results(undisturbed).frame.equals(found.frame), "what the file knows is not read again"


@pytest.mark.parametrize("stop_after", [1, 7])
def test_a_stopped_campaign_goes_on_with_the_same_results(
    undisturbed: Campaign, make: Make, Inline: Any, content: Content, stop_after: int
) -> None:
    campaign = make()
    campaign.save()
    first, second = Inline(stop_after=stop_after), Inline()
    with pytest.raises(KeyboardInterrupt):
        go(campaign, first)
    trained = sum(unit.startswith("train") for unit in first.seen)
    assert (
        collect.results(campaign).remarks[0] == f"The campaign is not complete: {trained} of its 12 trainings are here."
    )
    assert go(campaign, second).computed == len(campaign) - stop_after
    assert not set(first.seen) & set(second.seen)
    assert content(campaign) == content(undisturbed)


def test_records_lost_between_a_unit_and_its_line_are_taken_from_the_unit(
    undisturbed: Campaign, make: Make, Inline: Any, content: Content
) -> None:
    """As after a kill between the two: nothing is computed again."""
    campaign = make()
    campaign.save()
    for kind in ("search", "train"):
        shutil.copytree(undisturbed.directory / kind, campaign.directory / kind)
    executor = Inline()
    go(campaign, executor)
    assert executor.seen == []
    assert content(campaign) == content(undisturbed)


def test_bad_units_are_one_line_each_and_the_rest_goes_on(
    undisturbed: Campaign, make: Make, Inline: Any, content: Content, units_of: Units, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in place of a directory, a damaged record, a full disk, foreign files."""
    campaign = make()
    campaign.save()
    root = campaign.directory
    blocked, damaged, full, foreign = (
        root / units_of(undisturbed)["random_genotype", seed, setting].id for seed in (0, 1) for setting in ("1", "2")
    )
    for path in (blocked.parent, foreign, damaged, full.parent):
        path.mkdir(parents=True, exist_ok=True)
    blocked.write_text("not a directory")
    (damaged / "unit.json").write_text("{")
    (foreign / "thesis.tex").write_text("precious")
    replace = os.replace

    def on_a_full_disk(source: Any, target: Any) -> None:
        if full in Path(target).parents:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", on_a_full_disk)
    tally = go(campaign, Inline())
    assert len(tally.lines) == len(tally.problems) == 4
    problems = {root / unit: text for unit, text in tally.problems.items()}
    assert "Not a directory" in problems[blocked]
    assert "not JSON" in problems[damaged]
    assert "delete" in problems[damaged]
    assert "No space left on device" in problems[full]
    assert "holds other files (thesis.tex" in problems[foreign]
    assert not any("\n" in line for line in tally.lines)
    assert len(collect.status(campaign).problems) == 4
    missing = collect.results(campaign)
    assert missing.frame.score.isna().sum() == 4
    assert "4 of 12 trainings failed" in missing.remarks[1]
    assert go(campaign, Inline(), retry=False).lines == []
    monkeypatch.undo()
    blocked.unlink()
    (foreign / "thesis.tex").unlink()
    shutil.rmtree(damaged)
    shutil.rmtree(full)
    assert go(campaign, Inline()).computed == 4
    assert content(campaign) == content(undisturbed)
    assert collect.status(campaign).problems == {}


def test_a_failed_search_holds_up_its_own_trainings_only(make: Make, Inline: Any) -> None:
    campaign = make(seeds=1)
    campaign.save()
    (campaign.directory / "search/one/darts").mkdir(parents=True)
    (campaign.directory / "search/one/darts/seed-0").write_text("")
    tally = go(campaign, Inline())
    assert (tally.computed, len(tally.problems), tally.blocked) == (6, 1, 2)


def test_a_full_disk_loses_nothing(make: Make, Inline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that cannot be written are found in the units' directories later."""
    from archgrad.bench.protocol.store import Driver

    campaign = make(seeds=1)
    campaign.save()

    def full(self: Driver, record: Any) -> None:
        raise ArchgradError("cannot write records: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Driver, "record", full)
        tally = go(campaign, Inline())
    assert len(tally.problems) == len(campaign)
    assert collect.status(campaign).done.total() == 0
    second = Inline()
    go(campaign, second)
    assert second.seen == []
    assert collect.status(campaign).done.total() == len(campaign)


def test_equal_trainings_are_computed_once(make: Make, Inline: Any) -> None:
    """Two methods that are the same find the same, and share its trainings."""
    methods = ["darts", {"name": "twin", "method": "darts"}]
    campaign = make(methods=methods, seeds=1)
    campaign.save()
    executor = Inline()
    tally = go(campaign, executor)
    assert tally.shared == 2
    assert len(executor.seen) == len(set(executor.seen)) == len(campaign) - 2
    assert collect.status(campaign).done.total() == len(campaign)
    found = collect.results(campaign)
    one, two = (found.only(method=name).frame for name in ("darts", "twin"))
    assert list(one.score) == list(two.score)
    assert list(one.extra) == list(two.extra)


def test_a_campaign_extended_by_a_method_and_a_seed_computes_what_is_new(
    undisturbed: Campaign, make: Make, Inline: Any, content: Content
) -> None:
    campaign = make(seeds=1)
    campaign.save()
    go(campaign, Inline())
    before = content(campaign)
    campaign.with_more(seeds=1).save()
    second = Inline()
    go(campaign, second)
    assert all("/seed-1" in unit for unit in second.seen)
    assert content(campaign) == content(undisturbed)
    Campaign.open(campaign.directory).with_more(methods=["single_level"]).save()
    third = Inline()
    shared = go(campaign, third).shared
    assert not set(third.seen) & before.keys()
    assert len(third.seen) + shared == 2 * 3
    assert before.items() <= content(campaign).items()


def test_parts_of_two_machines_are_one_campaign_and_merging_twice_changes_nothing(
    undisturbed: Campaign, make: Make, Inline: Any, content: Content
) -> None:
    one, two = make("one", seeds=[0]), make("two", seeds=[1])
    for part in (one, two):
        part.save()
    go(one, Inline())
    with pytest.raises(KeyboardInterrupt):
        go(two, Inline(stop_after=5))
    (two.directory / "search/one/random_search/seed-1").mkdir(parents=True, exist_ok=True)
    (two.directory / "search/one/random_search/seed-1/config.yaml").write_text("unfinished: true")

    def everything() -> dict[str, tuple[int, bytes]]:
        files = [path for path in one.directory.rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    first = merge(one, two.directory)
    assert (first.added, first.unfinished, first.differing, first.problems) == (5, 1, [], {})
    before = everything()
    second = merge(Campaign.open(one.directory), two.directory)
    assert (second.added, second.unfinished) == (0, 0)
    assert everything() == before
    shutil.rmtree(one.directory / "search/one/random_search/seed-1")
    executor = Inline()
    go(one, executor)
    assert len(executor.seen) == 4
    assert content(one) == content(undisturbed)


def test_a_merge_keeps_its_own_where_results_differ_and_refuses_other_campaigns(
    undisturbed: Campaign, make: Make, units_of: Units, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(undisturbed.directory, other)
    unit = units_of(undisturbed)["darts", 0, "1"].id
    (records,) = (other / "records").glob("*.jsonl")
    changed = [json.loads(line) for line in records.read_text().splitlines()]
    for record in changed:
        record["score"] = -1 if record["unit"] == unit else record.get("score")
    records.write_text("".join(json.dumps(record) + "\n" for record in changed))
    found = merge(undisturbed, other)
    assert found.differing == [unit]
    assert undisturbed.store.records()[unit]["score"] != -1
    with pytest.raises(ArchgradError, match="is the campaign itself"):
        merge(undisturbed, undisturbed.directory)
    make("longer", changes={"search": {"epochs": 5}}).save()
    with pytest.raises(ArchgradError, match=r"search\.epochs is 1, not 5"):
        merge(undisturbed, tmp_path / "longer")


def test_as_published_the_search_with_the_lowest_validation_loss_goes_on(
    make: Make, Inline: Any, units_of: Units
) -> None:
    campaign = make(genotypes="lowest_validation_loss", seeds=3)
    campaign.save()
    go(campaign, Inline())
    records = campaign.store.records()
    losses = {seed: records[f"search/one/darts/seed-{seed}"]["loss"] for seed in range(3)}
    best = min(losses, key=lambda seed: losses[seed])
    trained = records[units_of(campaign)["darts", 0, "1"].id]
    assert trained["genotype"] == records[f"search/one/darts/seed-{best}"]["genotype"]
    found = collect.results(campaign)
    assert len(found) == 3 * 2
    assert set(found.frame.training_seed) == {0}, "whichever search was chosen"
    assert set(found.only(method="darts").frame.seed) == {best}
    assert "lowest supernet validation loss of 3 searches" in found.remarks[0]
    campaign.with_more(seeds=1).save()
    more = Inline()
    shared = go(campaign, more).shared
    new = {unit for unit in more.seen if unit.startswith("train/")}
    assert not new & set(records), "the same training is not computed again"
    trainings = {unit.id for (_, _, setting), unit in units_of(Campaign.open(campaign.directory)).items() if setting}
    assert len(trainings) == 3 * 2 - shared
    assert trainings <= set(records) | new


def test_two_drivers_do_not_compute_the_same_training(make: Make, Inline: Any, units_of: Units) -> None:
    """The second one starts while the first computes, leaves it what it computes, and does all that is left."""
    campaign = make(methods=["darts", {"name": "twin", "method": "darts"}], seeds=1, settings=[1])
    campaign.save()
    first, second = Inline(), Inline()
    first_waits, second_waits = first.wait, second.wait

    def first_wait(seconds: float) -> Any:
        if first.jobs[0].unit.kind == "train" and not second.seen:
            with pytest.raises(KeyboardInterrupt):
                run(Campaign.open(campaign.directory), second, progress=False, say=lambda text: None)
        return first_waits(seconds)

    def second_wait(seconds: float) -> Any:
        if not second.jobs:
            raise KeyboardInterrupt  # nothing to do but to wait for the first
        return second_waits(seconds)

    first.wait, second.wait = first_wait, second_wait
    tally = go(campaign, first)
    assert second.seen
    assert not tally.problems
    assert sorted(first.seen + second.seen) == sorted({unit.id for unit in units_of(campaign).values()})
    assert set(campaign.store.records()) == {unit.id for unit in units_of(campaign).values()}


def test_a_merge_leaves_settings_and_running_units_of_the_target_alone(
    undisturbed: Campaign, make: Make, Inline: Any
) -> None:
    target = make("target", keep="checkpoints", evaluate=2, diagnose=0)
    target.save()
    unit = "search/one/darts/seed-0"
    with Driver(target.store) as driver:
        assert driver.claim(unit)
        found = merge(target, undisturbed.directory)
        assert found.problems == {unit: "it is being computed here"}
        assert not (target.directory / unit).exists()
    assert merge(target, undisturbed.directory).added == 1
    after = Campaign.open(target.directory)
    assert (after.keep, after.evaluate, after.diagnose) == ("checkpoints", 2, 0)


def test_a_merge_brings_whole_units_without_a_line_that_failed_here(make: Make, Inline: Any) -> None:
    part, target = make("part", seeds=1, settings=[1]), make("target", seeds=1, settings=[1])
    for each in (part, target):
        each.save()
    go(part, Inline())
    (records,) = (part.directory / "records").glob("*.jsonl")
    lines = records.read_text().splitlines(keepends=True)
    unit = json.loads(lines[0])["unit"]
    records.write_text("".join(lines[1:]))
    known = {name: value for name, value in json.loads(lines[0]).items() if name in Unit._fields}
    target.store.add("failed", [{"unit": unit, **known, "problem": "here", "finished": 1.0}])
    assert merge(target, part.directory).unfinished == 1
    executor = Inline()
    go(target, executor)
    assert executor.seen == []


def test_a_misspelt_method_is_not_merged(undisturbed: Campaign, make: Make) -> None:
    wrong = make("wrong", methods=["dartz"])
    with pytest.raises(ArchgradError, match="unknown method 'dartz'"):
        merge(wrong, undisturbed.directory)
    assert not wrong.directory.exists()


def test_a_process_that_dies_is_started_again_and_then_given_up(make: Make, Inline: Any) -> None:
    from archgrad.bench.protocol.workers import Outcome

    campaign = make(seeds=1, settings=[1])
    campaign.save()
    tries: list[str] = []

    class Deadly(Inline):
        def wait(self, seconds: float) -> list[Outcome]:
            unit: Unit = self.jobs[0].unit if self.jobs else Unit("", 0)
            if unit.method == "darts" and unit.kind == "search":
                self.jobs.pop(0)
                tries.append(unit.id)
                return [Outcome(unit, None, "its process was killed by SIGKILL", died=True)]
            return super().wait(seconds)

    tally = go(campaign, Deadly(), deaths=2)
    assert len(tries) == 3
    assert tally.problems == {"search/one/darts/seed-0": "its process was killed by SIGKILL"}
    assert tally.blocked == 1
    assert tally.computed == 4


def test_checkpoints_and_weights_stay_as_asked(make: Make, Inline: Any, units_of: Units) -> None:
    for keep, expected in (("results", (False, False)), ("checkpoints", (True, True))):
        campaign = make(keep, keep=keep, seeds=1, settings=[1])
        campaign.save()
        go(campaign, Inline(stop_after=None))
        directory = campaign.directory / units_of(campaign)["darts", 0, "1"].id
        assert ((directory / "weights.safetensors").exists(), (directory / "checkpoints").exists()) == expected
