"""Counts of the fault campaign by class, at the end of the tests; and what the campaign changes: files of real runs."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parent))  # where the judge and the mutations are
from judge import Case, judge

from archgrad import comparison, search, tables
from archgrad.bench import Campaign
from archgrad.bench.protocol import collect
from archgrad.bench.protocol.compute import attempt
from archgrad.data import Dataset, from_tensors

COUNTS: dict[str, Counter[str]] = {}

SUITE: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "limit": 128},
    "subspaces": {"one": {"space": "nasbench201", "channels": 2, "cells": 1}},
    "search": {"epochs": 1, "batch_size": 16, "methods": {"random_search": {"options": {"candidates": 2}}}},
    "training": {"epochs": 1, "batch_size": 16, "lr": [0.05, 0.1]},
}


@pytest.fixture
def copes(request: pytest.FixtureRequest) -> Callable[[str, Iterable[Case]], None]:
    """Judges many inputs of a class, counts them, and fails where one is a fault."""

    def check(kind: str, cases: Iterable[Case]) -> None:
        counts, faults = judge(cases)
        COUNTS.setdefault(kind, Counter()).update(counts)
        assert not faults, f"{len(faults)} of {counts.total()} faults:\n" + "\n".join(faults[:12])

    return check


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that are the same in every run of a test."""
    return random.Random(request.node.name)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each class of inputs."""
    if not COUNTS:
        return
    terminalreporter.section("fault campaign")
    for kind, counts in sorted(COUNTS.items()):
        told = ", ".join(f"{count:,} {how}" for how, count in sorted(counts.items()))
        terminalreporter.write_line(f"{kind}: {counts.total():,} inputs: {told}")
    terminalreporter.write_line(f"in all {sum(counts.total() for counts in COUNTS.values()):,} inputs")


@pytest.fixture(scope="session")
def few() -> Dataset:
    """Images on which a search of two epochs takes a moment."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.rand(64, 1, 8, 8, generator=draw), torch.arange(64) % 4
    return from_tensors(x, y, x[:16], y[:16], name="few")


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with the training of what it found, as the library writes them."""
    from archgrad import spaces

    directory = tmp_path_factory.mktemp("faults") / "run"
    space = spaces.get("nasbench201", channels=2, cells=1)
    search(space, "darts", "digits", epochs=2, batch_size=256, out=directory, progress=False, device="cpu")
    comparison.train_found(directory, epochs=1, batch_size=512, progress=False, device="cpu", random=1)
    return directory


@pytest.fixture(scope="session")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that is complete but for one training, with its results."""
    place = tmp_path_factory.mktemp("faults")
    file = place / "campaign.yaml"
    raw = {"suite": SUITE, "directory": str(place / "campaign"), "seeds": 1, "methods": ["darts"]}
    file.write_text(yaml.safe_dump(raw))
    made = Campaign.load(file)
    made.save()
    for number, trial in enumerate(made.trials()):
        records = []
        for unit in trial.searches:
            records.append(attempt(made.directory, unit, "cpu")[0])
        found = {record["unit"]: record for record in records if record}
        for unit in trial.trainings(next(iter(found.values())), made.settings):
            if number or unit.setting == "1":
                records.append(attempt(made.directory, unit, "cpu")[0])
        made.store.add(f"driver-{number}", [{k: v for k, v in r.items() if k != "extra"} for r in records if r])
    collect.write_results(made)
    return made.directory


@pytest.fixture(scope="session")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of scores, as Parquet."""
    from archgrad import spaces
    from archgrad.tables import Table

    made = Table.of(
        spaces.get("nasbench201"), {"cifar10_test_200": lambda genotype: 50 + len(str(genotype)) % 40}, name="table"
    )
    rows = Table(
        "table", made.space, made.codes[:40], made.index[:40], made.isomorph[:40],
        {name: values[:40] for name, values in made.columns.items()}, "made",
    )  # fmt: skip
    return tables.save(rows, tmp_path_factory.mktemp("faults") / "table.parquet")
