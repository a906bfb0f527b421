"""Paths and barriers against brute force and published numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.landscape import ENDPOINTS, Surface, barrier, shortest_paths
from archgrad.tables import Table


@pytest.mark.parametrize(("group", "published"), [("A", 0.31), ("B", 22.93), ("C", 65.41)])
def test_published_barriers(nasbench: Table, group: str, published: float):
    a, b = ENDPOINTS["cifar10"][group]
    assert barrier(nasbench, a, b) == pytest.approx(published, abs=0.005)
    assert barrier(nasbench, nasbench.genotype(a), nasbench.text(b)) == barrier(nasbench, a, b)


def test_endpoints_are_three_edits_apart(additive: Table):
    for dataset, group in itertools.product(ENDPOINTS, "ABC"):
        a, b = ENDPOINTS[dataset][group]
        found = shortest_paths(additive, a, b, metric="one")
        assert found.distance == 3
        assert len(found.steps) == 6


def brute_force_barrier(values: dict[str, float], a: str, b: str) -> float:
    """All ways to take each digit from one of the ends."""
    mixtures = {"".join(way) for way in itertools.product(*zip(a, b, strict=True))} - {a, b}
    return (values[a] + values[b]) / 2 - min(values[way] for way in mixtures)


@pytest.mark.parametrize(("a", "b"), [("000000", "110000"), ("333133", "013104"), ("012340", "123400")])
def test_brute_force(additive: Table, a: str, b: str):
    digits = ["".join(map(str, code)) for code in additive.codes.tolist()]
    values = dict(zip(digits, additive.values("two").tolist(), strict=True))
    distance = sum(x != y for x, y in zip(a, b, strict=True))
    found = shortest_paths(additive, a, b, metric="two")
    assert len(set(found.steps)) == len(found.steps) == math.factorial(distance)
    assert all(len(set(path)) == distance + 1 for path in found.steps)
    assert found.barrier == pytest.approx(brute_force_barrier(values, a, b))
    assert barrier(additive, b, a, metric="two") == pytest.approx(found.barrier)


def test_profiles(additive: Table):
    a, b = "000000", "110000"
    found = shortest_paths(additive, a, b, metric="one")
    between = [additive.value(cell, "one") for cell in ("100000", "010000")]
    ends = [additive.value(a, "one"), additive.value(b, "one")]
    np.testing.assert_allclose(found.mean, [ends[0], np.mean(between), ends[1]])
    np.testing.assert_allclose(found.std, [0, np.std(between), 0], atol=1e-12)


def test_constant_accuracy_has_no_barrier(additive: Table):
    assert barrier(additive, "000000", "123400", metric="constant") == 0


def test_nothing_between_neighbours(additive: Table):
    assert barrier(additive, "000000", "000001", metric="one") == 0
    assert barrier(additive, "000000", "000000", metric="one") == 0


def test_paths_in_a_space_with_competing_edges(small_darts: Table):
    space = small_darts.space
    a, b = small_darts.genotype(3), small_darts.genotype(2001)
    found = shortest_paths(Surface.of(small_darts, "a"), a, b)
    assert found.distance == space.distance(a, b) > 3
    assert len(set(found.steps)) == len(found.steps)
    for path in found.steps:
        assert (path[0], path[-1]) == (a, b)
        assert all(space.distance(x, y) == 1 for x, y in itertools.pairwise(path))
    inside = [
        row
        for row in range(len(small_darts))
        if space.distance(a, g := small_darts.genotype(row)) + space.distance(g, b) == found.distance
    ]
    lowest = small_darts.values("a")[[row for row in inside if row not in (3, 2001)]].min()
    ends = small_darts.values("a")[[3, 2001]].mean()
    assert found.barrier == pytest.approx(ends - lowest)


def test_far_ends_and_missing_values_are_refused(additive: Table, cells: Callable[..., Table]):
    space = spaces.get("darts")
    generator = torch.Generator().manual_seed(0)
    surface = Surface(space, lambda g: 0.0)
    with pytest.raises(ArchgradError, match="edits apart, at most 8 are possible"):
        shortest_paths(surface, space.random(generator), space.random(generator))
    values = np.zeros(15_625)
    values[additive.row("100000")] = np.nan
    with pytest.raises(ArchgradError, match=r"no value is known for \|skip_connect~0\|"):
        barrier(cells(a=values), "000000", "110000", metric="a")
