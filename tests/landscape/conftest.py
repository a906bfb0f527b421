"""Small landscapes whose geometry is known, and the real tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archgrad import spaces, tables
from archgrad.genotype import Genotype
from archgrad.spaces.darts import Darts
from archgrad.tables import Table
from archgrad.tables import nasbench201 as numbering


@pytest.fixture(scope="session")
def real(real_data: Callable[[str], Path]) -> Callable[..., Table]:
    """Loads a real table."""
    return lambda name, scale=1.0: tables.load(real_data(f"{name}.parquet"), scale=scale)


@pytest.fixture(scope="session")
def nasbench(real: Callable[..., Table]) -> Table:
    """NAS-Bench-201 as published."""
    return real("nasbench201/nasbench201")


@pytest.fixture(scope="session")
def cells() -> Callable[..., Table]:
    """Makes NAS-Bench-201 tables of made-up accuracies, in the order of the benchmark's index."""

    def make(**columns: np.ndarray) -> Table:
        index = np.arange(numbering.CELLS)
        space = spaces.get("nasbench201")
        return Table("made up", space, numbering.cells(), index, numbering.isomorphs(), columns)

    return make


@pytest.fixture(scope="session")
def additive(cells: Callable[..., Table]) -> Table:
    """Accuracies that are a sum of one term per edge (``one``), and of one per pair of neighbouring edges (``two``)."""
    rng = np.random.default_rng(0)
    digits, centred = numbering.cells(), np.array([-2.0, -1, 0, 1, 2])
    one = sum(rng.normal(size=5)[digits[:, edge]] for edge in range(6))
    two = sum(centred[digits[:, a]] * centred[digits[:, b]] for a, b in ((0, 1), (2, 3), (4, 5)))
    return cells(one=np.asarray(one), two=np.asarray(two), constant=np.full(15_625, 3.0))


@pytest.fixture(scope="session")
def small_darts() -> Table:
    """All 2,304 architectures of a small DARTS space with random accuracies."""
    space = Darts(candidates=("none", "skip_connect", "sep_conv_3x3"), steps=2, multiplier=2)
    rng = np.random.default_rng(0)
    known: dict[Genotype, float] = {}
    return Table.of(space, {"a": lambda g: known.setdefault(g, float(rng.random()))})
