"""Campaigns whose scores come from a tabular benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import archgrad.bench
from archgrad import spaces, tables
from archgrad.bench import Campaign, commands
from archgrad.bench.protocol import collect, driver
from archgrad.bench.protocol.unit import completed
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.tables import Table

Make = Callable[..., Campaign]
SPACE = spaces.get("nasbench201")
SUITE: dict[str, Any] = {
    "name": "tabular",
    "data": {"name": "digits", "limit": 64, "halves": "whole"},
    "subspaces": {"one": {"space": "nasbench201", "channels": 4, "cells": 1}},
    "search": {"epochs": 1, "batch_size": 16, "methods": {"random_search": {"options": {"candidates": 2}}}},
    "table": {"name": "counts", "columns": {"skips": "skip_{setting}", "pools": "pool_3"}, "settings": [1, 2]},
}


def count(genotype: Genotype, operation: str) -> float:
    return float(SPACE.format(genotype).count(operation))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("library")
    columns = {
        "skip_1": lambda g: count(g, "skip_connect"),
        "skip_2": lambda g: 2 * count(g, "skip_connect"),
        "pool_3": lambda g: 3 * count(g, "avg_pool_3x3"),
        "params_m": lambda g: 0.5,
    }
    tables.save(Table.of(SPACE, columns, "counts"), root / "counts.parquet")
    return root


@pytest.fixture(autouse=True)
def found_there(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHGRAD_DATA", str(library))


def test_every_search_has_the_scores_of_its_genotype(make: Make, Inline: Any, tmp_path: Path) -> None:
    campaign = make(suite=SUITE)
    assert len(campaign) == len(list(campaign.planned({}))) == 3 * 2, "searches only"
    assert driver.run(campaign, Inline(), progress=False).computed == 6
    results = collect.results(campaign)
    assert len(results) == 6 * 2 * 2
    assert results.primary == "value in the table"
    assert results.remarks == ("Every search counts: 2 seeds, each genotype looked up in the table counts.",)
    factors = {("skips", "1"): (1, "skip_connect"), ("skips", "2"): (2, "skip_connect")}
    factors |= {("pools", setting): (3, "avg_pool_3x3") for setting in ("1", "2")}
    for row in results.frame.itertuples():
        search = completed(campaign.directory / f"search/one/{row.method}/seed-{row.seed}")
        assert search is not None
        assert row.genotype == search["genotype"]
        factor, operation = factors[str(row.benchmark), str(row.setting)]
        assert row.score == factor * search["genotype"].count(operation)
        assert row.parameters == 0.5e6
    assert len(commands.reported(str(tmp_path / "campaign.yaml"))[0]) == 24


def test_a_stopped_campaign_says_what_is_missing(make: Make, Inline: Any) -> None:
    campaign = make(suite=SUITE)
    with pytest.raises(KeyboardInterrupt):
        driver.run(campaign, Inline(stop_after=2), progress=False)
    found = collect.results(campaign)
    assert len(found) == 2 * 4
    assert found.remarks[0] == "The campaign is not complete: 8 of its 24 scores are here."


def test_of_several_spaces_each_has_its_benchmarks_and_the_lowest_loss_may_choose(make: Make, Inline: Any) -> None:
    two = {**SUITE, "subspaces": dict.fromkeys(("one", "two"), SUITE["subspaces"]["one"])}
    campaign = make(suite=two, genotypes="lowest_validation_loss")
    driver.run(campaign, Inline(), progress=False)
    found = collect.results(campaign)
    assert set(found.frame.benchmark) == {"one-skips", "one-pools", "two-skips", "two-pools"}
    assert len(found) == 3 * 4 * 2
    searches = [completed(campaign.directory / f"search/one/darts/seed-{seed}") for seed in (0, 1)]
    chosen = min((search for search in searches if search), key=lambda search: search["loss"])
    assert set(found.only(method="darts", benchmark="one-skips").frame.seed) == {chosen["seed"]}


def test_mistakes_are_one_line(make: Make) -> None:
    training = {"epochs": 1, "batch_size": 16, "lr": 0.1}
    for changes, message in (
        ({"training": training}, "from 'training' or from a 'table', not from both"),
        ({"table": {}}, "suite: table needs name, columns"),
        ({"table": {"name": "counts"}}, "suite: table needs columns"),
        ({"table": {**SUITE["table"], "metric": "x"}}, "unknown setting of table"),
        ({"table": {**SUITE["table"], "settings": 200}}, "table.settings must be a list, got 200"),
        ({"table": {**SUITE["table"], "name": "count"}}, "unknown table 'count'"),
        ({"table": {**SUITE["table"], "settings": [3]}}, "unknown metric of the table 'counts' 'skip_3'"),
        ({"subspaces": {"one": {"space": "darts"}}}, "'counts' is of the space nasbench201: one is of darts"),
    ):
        with pytest.raises(ArchgradError, match=message) as error:
            make(suite={**SUITE, **changes}).require_all()
        assert "\n" not in str(error.value)


def test_the_suite_of_the_library_looks_at_three_datasets() -> None:
    suite = archgrad.bench.suite("nasbench201", "mini")
    assert suite.table is not None
    assert list(suite.table.columns) == ["cifar10", "cifar100", "imagenet16"]
    assert suite.settings == ()
    assert suite.method("darts", suite.benchmarks[0]).epochs == 10
