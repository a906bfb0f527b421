"""The smallest campaign: 8×8 digits, four channels, one cell, one epoch; the published runs; planted results."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from archgrad.bench import Campaign
from archgrad.bench.protocol.compute import attempt
from archgrad.bench.protocol.unit import Unit
from archgrad.bench.protocol.workers import Job, Outcome, Workers
from archgrad.bench.statistics.results import Results

sys.path.insert(0, str(Path(__file__).parent))  # where the planted results are

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "limit": 128},
    "subspaces": {
        "one": {
            "space": "darts",
            "channels": 4,
            "cells": 1,
            "steps": 1,
            "multiplier": 1,
            "kinds": ["reduce"],
            "candidates": ["none", "skip_connect", "max_pool_3x3", "sep_conv_3x3"],
        }
    },
    "search": {"epochs": 1, "batch_size": 16, "methods": {"random_search": {"options": {"candidates": 2}}}},
    "training": {"epochs": 1, "batch_size": 16, "lr": [0.05, 0.1]},
}


class Inline(Workers):
    """Computes jobs in this process, one after the other."""

    def __init__(self, stop_after: int | None = None):
        self.jobs: list[Job] = []
        self.seen: list[str] = []
        self.stop_after = stop_after

    @property
    def capacity(self) -> int:
        return 1

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self, seconds: float) -> list[Outcome]:
        if not self.jobs:
            return []
        job = self.jobs.pop(0)
        if self.stop_after is not None and len(self.seen) == self.stop_after:
            raise KeyboardInterrupt
        self.seen.append(job.unit.id)
        record, problem = attempt(*job)
        return [Outcome(job.unit, record, problem)]

    def close(self) -> None:
        pass


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Campaign]:
    """A campaign in ``tmp_path/NAME`` with the tiny suite and some keys changed."""

    def made(name: str = "campaign", **keys: Any) -> Campaign:
        raw = {"suite": TINY, "directory": str(tmp_path / name), "methods": ["darts"], "seeds": 2, **keys}
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(raw))
        return Campaign.load(file)

    return made


def content(campaign: Campaign) -> dict[str, Any]:
    """Everything that two campaigns must have in common: records without times and places, alphas and weights."""
    found: dict[str, Any] = {}
    varying = ("host", "finished", "wall", "seconds")
    for unit, record in campaign.store.records().items():
        found[unit] = {key: value for key, value in record.items() if key not in varying}
    for pattern in ("alphas.npz", "weights.safetensors", "genotype.json"):
        for path in sorted(campaign.directory.rglob(pattern)):
            found[str(path.relative_to(campaign.directory))] = path.read_bytes()
    return found


def units_of(campaign: Campaign) -> dict[tuple[str, int, str], Unit]:
    """(method, seed, setting) → unit, of all whose search is complete; a search has no setting."""
    planned = campaign.planned(campaign.store.records())
    return {(trial.method, unit.seed, setting): unit for trial, setting, unit in planned if unit}


@pytest.fixture
def tiny() -> dict[str, Any]:
    return copy.deepcopy(TINY)


@pytest.fixture(name="Inline")
def inline_executor() -> type[Inline]:
    return Inline


@pytest.fixture(name="content")
def content_of_a_campaign() -> Callable[[Campaign], dict[str, Any]]:
    return content


@pytest.fixture(name="units_of")
def units_of_a_campaign() -> Callable[[Campaign], dict[tuple[str, int, str], Unit]]:
    return units_of


@pytest.fixture(scope="session")
def published(real_data: Callable[[str], Path]) -> Results:
    """The published runs of arXiv 2507.16533."""
    return Results.load(real_data("benchsuite/published_runs.csv"))
