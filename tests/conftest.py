"""One computing thread for the whole suite, and the way to real data.

The tests' networks are far too small to share among threads: on a busy machine several threads wait for each other
longer than they compute. Sums are then also added in one order everywhere, as bit-identical results need.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from archgrad import data
from archgrad.recipes import quick
from archgrad.train import train

sys.path.insert(0, str(Path(__file__).parent))  # where `programs` is
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the programs that tests start

REAL_DATA = Path(os.environ.get("ARCHGRAD_TEST_DATA") or Path(__file__).resolve().parents[1].parent / "shared/data")


@pytest.fixture(scope="session")
def real_data() -> Callable[[str], Path]:
    """Finds a file or directory of real data, which is no part of the project; without it the test is skipped."""

    def find(name: str) -> Path:
        path = REAL_DATA / name
        if not path.exists():
            pytest.skip(
                f"needs {name or 'real data'} in {REAL_DATA}, or in the directory that ARCHGRAD_TEST_DATA names"
            )
        return path

    return find


@pytest.fixture(autouse=True)
def _programs_start_as_usual() -> Iterator[None]:
    """What the command line tells the processes that it starts is not told to those of the next test."""
    before = os.environ.get("PYTHONSAFEPATH")
    yield
    if before is None:
        os.environ.pop("PYTHONSAFEPATH", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever asks for real data is run by `make test-data`."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


@pytest.fixture(scope="session")
def digits() -> data.Dataset:
    """The embedded data set."""
    return data.load("digits")


@pytest.fixture(scope="session")
def trained(digits: data.Dataset) -> nn.Module:
    """A tiny network trained on digits, to be attacked and corrupted."""
    recipe = replace(quick(), epochs=4)
    return train(_network(), digits, recipe=recipe, device="cpu", progress=False).network.eval()
