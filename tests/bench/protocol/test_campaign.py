"""A campaign's file and directory: units, growth, and refusal of whatever would mix results."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import archgrad
from archgrad.bench import Campaign
from archgrad.bench.protocol.unit import Trial, Unit
from archgrad.errors import ArchgradError
from archgrad.method import Method
from archgrad.schedules import Diagnose

Make = Callable[..., Campaign]


def test_units_are_methods_and_baselines_times_benchmarks_seeds_and_settings(make: Make) -> None:
    campaign = make(methods=["darts", "gdas"], seeds=3)
    assert list(campaign.methods) == ["darts", "gdas", "random_genotype", "random_search"]
    planned = list(campaign.planned({}))
    assert len(campaign) == len(planned) == 4 * 3 * (1 + 2)
    searches = [unit for _, _, unit in planned if unit]
    assert len(searches) == len({unit.id for unit in searches}) == 4 * 3
    assert searches[0].id == "search/one/darts/seed-0"
    assert {unit.seed for unit in searches} == {0, 1, 2}
    assert [setting for _, setting, _ in planned[:4]] == ["", "1", "2", ""]


def found(seed: int, genotype: str, loss: float | None = None) -> dict[str, dict[str, Any]]:
    unit = Unit("one", seed, "darts")
    return {unit.id: {"unit": unit.id, **unit._asdict(), "genotype": genotype, "loss": loss}}


def test_a_training_is_named_by_what_is_trained_and_how(make: Make) -> None:
    """Two searches that find the same share its training, but for its seed."""
    campaign = make(seeds=2)
    records = {**found(0, "|a|"), **found(1, "|b|")}
    units = [unit for trial, setting, unit in campaign.planned(records) if setting and trial.method == "darts" and unit]
    assert units[1] == Unit("one", 0, genotype="|a|", setting="2")
    assert re.fullmatch(r"train/one/[0-9a-f]{16}/setting-2/seed-0", units[1].id)
    assert len({unit.id for unit in units}) == 4
    twin = Trial("one", "twin", (0,))
    assert twin.trainings({"genotype": "|a|"}, campaign.settings) == units[:2]


def test_only_the_best_of_several_searches(make: Make) -> None:
    campaign = make(seeds=3, genotypes="lowest_validation_loss")
    assert len(campaign) == len(list(campaign.planned({}))) == 3 * 3 + 3 * 2
    trial = next(campaign.trials())
    assert trial == Trial("one", "darts", (0, 1, 2))
    records = {**found(0, "|a|", 0.5), **found(2, "|c|", 0.25)}
    assert trial.chosen(records) is None
    assert trial.chosen({**records, "search/one/darts/seed-1": {"problem": "failed"}}) is None
    chosen = trial.chosen(records | found(1, "|b|", 0.25))
    assert chosen is not None
    assert chosen["genotype"] == "|b|", "the first of equal ones"
    assert [unit.seed for unit in trial.trainings(chosen, ["1"])] == [0], "whichever was chosen"


def test_the_directory_says_all_of_it_again(make: Make) -> None:
    methods: list[Any] = ["darts", {"name": "long", "method": "darts", "epochs": 2}]
    campaign = make(methods=methods, seeds=[4, 2], settings=[2], diagnose={"every": 2, "eigenvalue": False})
    campaign.save()
    again = Campaign.open(campaign.directory)
    assert again == campaign
    assert again.seeds == (2, 4)
    assert again.settings == ("2",)
    assert again.diagnose == Diagnose(every=2, eigenvalue=False)
    assert again.entry("long") == {"method": "darts", "epochs": 2}
    before = (campaign.directory / "campaign.yaml").stat().st_mtime_ns
    again.save()
    assert (campaign.directory / "campaign.yaml").stat().st_mtime_ns == before


def test_a_campaign_grows_and_never_shrinks(make: Make) -> None:
    make(methods=["darts"], seeds=2, settings=[1]).save()
    other = make(methods=["gdas"], seeds=[5], settings=[2])
    assert list(other.methods) == ["darts", "gdas", "random_genotype", "random_search"]
    assert (other.seeds, other.settings) == ((0, 1, 5), ("1", "2"))
    larger = other.with_more(["fair_darts"], seeds=2)
    assert larger.seeds == (0, 1, 5, 6, 7)
    assert list(larger.methods)[:3] == ["darts", "gdas", "fair_darts"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"changes": {"search": {"epochs": 2}}}, "search.epochs is 1, not 2"),
        ({"data": {"limit": 64}}, "data.limit is 128, not 64"),
        ({"methods": [{"name": "darts", "epochs": 3}]}, "methods.darts.epochs is None, not 3"),
        ({"mixed_precision": "bf16"}, "mixed_precision 'no', not 'bf16'"),
        ({"processes": 2}, "processes 1, not 2"),
        ({"genotypes": "lowest_validation_loss"}, "genotypes 'all', not 'lowest_validation_loss'"),
    ],
)
def test_what_would_compute_units_differently_is_refused(make: Make, keys: dict[str, Any], message: str) -> None:
    before = make()
    before.save()
    (before.directory / "search").mkdir()  # something has been computed
    with pytest.raises(ArchgradError, match=message) as error:
        make(**keys)
    assert "choose another directory" in str(error.value)


def test_where_a_machine_keeps_its_data_does_not_matter(make: Make) -> None:
    before = make(data="/there/cifar10")
    before.save()
    (before.directory / "search").mkdir()
    assert make(data="/here/cifar10").suite.data.name == "/here/cifar10"
    with pytest.raises(ArchgradError, match=r"data\.name is 'cifar10', not 'digits'"):
        make(data="digits")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"method": ["darts"]}, "campaign.yaml: unknown key 'method': did you mean 'methods'"),
        ({"methods": "darts"}, "methods must be a list of names or mappings, got 'darts'"),
        ({"methods": ["darts", "darts"]}, "the method 'darts' is listed twice"),
        ({"methods": [{"name": "a/b"}]}, "a method needs a name of letters"),
        ({"methods": [{"name": "x", "method": "darts", "lr": 1}]}, "campaign.yaml: unknown setting of methods.x 'lr'"),
        ({"benchmarks": ["two"]}, "campaign.yaml: unknown benchmark 'two'"),
        ({"settings": [3]}, "campaign.yaml: unknown setting '3'"),
        ({"settings": []}, "settings must be 'all' or a list"),
        ({"seeds": 0}, "seeds must be a count or a list"),
        ({"seeds": [1, 1]}, "seeds must be a count or a list"),
        ({"keep": "nothing"}, "unknown value of keep 'nothing'"),
        ({"evaluate": -1}, "evaluate must be a number of epochs, 0 for the last one only, got -1"),
        (
            {"diagnose": -1},
            "diagnose must be a number of epochs, 0 for never, or a mapping of every and eigenvalue, got -1",
        ),
        ({"diagnose": {"often": 1}}, "mapping of every and eigenvalue, got {'often': 1}"),
        ({"processes": 0}, "processes must be a whole number above 0, got 0"),
        ({"suite": "darts_benchsuit"}, "unknown suite 'darts_benchsuit'"),
        ({"suite": 3}, "suite must be a name, a file, or the suite itself, got 3"),
        ({"preset": ["mini"]}, r"preset must be the name of a preset, got \['mini'\]"),
        ({"data": 3}, "data must be a mapping or a dataset's name, got 3"),
        ({"changes": [1]}, r"changes must be a mapping of parts of the suite, got \[1\]"),
        ({"changes": {"trainin": {}}}, "unknown setting of changes to suite 'trainin': did you mean 'training'"),
        ({"changes": {"preset": "mini"}}, "unknown setting of changes to suite 'preset'"),
        (
            {"changes": {"search": {"train_fraction": 50}}},
            "search.train_fraction must be a number between 0 and 1, got 50",
        ),
        ({"directory": 5}, "directory must be a path, got 5"),
        ({"mixed_precision": "fp16"}, "fp16 needs loss scaling"),
        ({"checkpoint_seconds": "x"}, "checkpoint_seconds must be a number, got 'x'"),
        ({"seeds": [True, 2]}, r"list of different whole numbers, got \[True, 2\]"),
        ({"seeds": [2**70]}, "list of different whole numbers"),
        ({"methods": [{"name": "..", "method": "darts"}]}, "a method needs a name of letters"),
        ({"methods": [3]}, "a method needs a name of letters, .* got 3"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds must be 0 or more, got -1"),
        ({"genotypes": "best"}, "unknown value of genotypes 'best': known: all, lowest_validation_loss"),
        ({"data": {"name": "digits", "limit": 0}}, "suite: data.limit must be a whole number, 1 or more, got 0"),
    ],
)
def test_mistakes_are_one_line(make: Make, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchgradError, match=message) as error:
        make(**keys)
    assert "\n" not in str(error.value)


def test_while_nothing_is_computed_another_file_may_change_everything(make: Make) -> None:
    first = make(mixed_precision="bf16")
    first.with_more(methods=["gdas"]).save()
    assert "gdas" in make(mixed_precision="bf16").methods, "what was added stays"
    assert make().mixed_precision == "no"
    assert make(mixed_precision=False).mixed_precision == "no", "what YAML makes of no"


def test_settings_of_methods_that_are_none_are_refused(make: Make) -> None:
    changes = {"search": {"methods": {"dart": {"epochs": 1}}}}
    with pytest.raises(ArchgradError, match=r"method in search\.methods of the suite 'dart': did you mean 'darts'"):
        make(changes=changes).require_all()


def test_methods_are_composed_before_anything_runs(make: Make) -> None:
    make(methods=["darts"]).require_all()
    with pytest.raises(ArchgradError, match="unknown method 'dartz'"):
        make("b", methods=["dartz"]).require_all()
    with pytest.raises(ArchgradError, match="no option 'rho'"):
        make("c", methods=[{"name": "darts", "options": {"rho": 1}}]).require_all()


def test_an_alpha_lr_that_cannot_be_scaled_is_refused_before_anything_runs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "own_methods", SimpleNamespace(make_method=lambda: Method("mine")))
    auto = {"alpha_optimiser": {"lr": "auto"}}
    make(methods=[{"name": "arm", "method": "gdas", **auto}]).require_all()
    own = make("b", methods=[{"name": "arm", "method": "own_methods:make_method", **auto}])
    with archgrad.trusting(), pytest.raises(ArchgradError, match=r"'arm': alpha_lr 'auto' scales published settings"):
        own.require_all()


def test_files_and_directories_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ArchgradError, match=r"c\.yaml: no such campaign file"):
        Campaign.load(tmp_path / "c.yaml")
    with pytest.raises(ArchgradError, match=r"is not the directory of a campaign: it has no campaign\.yaml"):
        Campaign.load(tmp_path)
    (tmp_path / "c.yaml").write_text("- 1")
    with pytest.raises(ArchgradError, match=r"c\.yaml: expected a mapping"):
        Campaign.load(tmp_path / "c.yaml")


def test_a_suite_stands_beside_the_campaign_and_the_directory_is_named_after_it(
    tmp_path: Path, tiny: dict[str, Any]
) -> None:
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(tiny))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"suite": "own.yaml", "methods": ["darts"]}))
    campaign = Campaign.load(tmp_path / "mine.yaml")
    assert campaign.suite.name == "tiny"
    assert campaign.directory == Path("campaigns/mine")
    assert next(campaign.planned({}))[2] == Unit("one", 0, "darts")
