"""Neighbourhoods: counts, distances, statistics against brute force and published numbers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.landscape import GROUPS, Surface, between, neighbourhood, sample_neighbours
from archgrad.landscape.graph import adjacency, neighbour_rows
from archgrad.tables import Table

Cells = Callable[..., Table]


@pytest.mark.parametrize(("radius", "count"), [(1, 24), (2, 240), (3, 1280), (4, 3840), (5, 6144), (6, 4096)])
def test_every_cell_at_the_distance_and_no_other(additive: Table, radius: int, count: int):
    (found,) = neighbour_rows(additive, np.array([1234]), radius)
    assert found.shape == (count,)
    distance = (additive.codes != additive.codes[1234]).sum(axis=1)
    assert set(found.tolist()) == set(np.flatnonzero(distance == radius).tolist())


def test_grid_and_space_agree(additive: Table):
    cell = additive.genotype(77)
    listed = {additive.row(g) for g in additive.space.neighbours(cell, 2)}
    assert set(neighbour_rows(additive, np.array([77]), 2)[0].tolist()) == listed


def test_no_further_than_the_space_is_wide(additive: Table):
    assert neighbourhood(additive, 0, 7, metric="one").count == 0
    with pytest.raises(ArchgradError, match="radius must be 1 or more"):
        neighbourhood(additive, 0, 0, metric="one")


def test_architectures_that_a_table_lacks_are_left_out(cells: Cells, additive: Table):
    kept = np.arange(0, 15_625, 2)
    half = Table("half", additive.space, additive.codes[kept], kept, kept, {"one": additive.values("one")[kept]})
    distance = (half.codes != half.codes[10]).sum(axis=1)
    found = neighbourhood(half, int(half.index[10]), 2, metric="one")
    np.testing.assert_allclose(np.sort(found.pooled), np.sort(half.values("one")[distance == 2]))


def test_published_statistics_of_good_cells(nasbench: Table):
    group = between(nasbench, *GROUPS["cifar10"]["A"])
    assert len(group) == 3_162
    found = neighbourhood(nasbench, group, 1, above=10)
    assert (round(found.mean, 2), round(found.std, 2)) == (92.14, 1.62)


def test_statistics_per_cell_and_pooled(additive: Table):
    values = additive.values("one")
    found = neighbourhood(additive, [5, "333133"], 1, metric="one", above=0.0)
    expected = []
    for number, row in enumerate([5, additive.row("333133")]):
        around = values[(additive.codes != additive.codes[row]).sum(axis=1) == 1]
        around = around[around > 0]
        assert found.mean_per_cell[number] == pytest.approx(around.mean())
        expected += around.tolist()
    assert (found.mean, found.std) == pytest.approx((np.mean(expected), np.std(expected)))
    assert found.summary()["neighbours"] == len(expected)
    assert found.summary()["median"] == pytest.approx(np.median(expected))


def test_merged_neighbours_are_one_per_class(nasbench: Table):
    for cell in (40, 81, 12094):
        found = neighbourhood(nasbench, cell, 2, merge=True)
        around = np.flatnonzero((nasbench.codes != nasbench.codes[cell]).sum(axis=1) == 2)
        classes = set(nasbench.isomorph[around].tolist()) - {int(nasbench.isomorph[cell])}
        np.testing.assert_allclose(np.sort(found.pooled), np.sort(nasbench.values("cifar10_test_200")[list(classes)]))
        assert found.count < 240


def test_merged_graph_is_symmetric_and_has_no_loops(additive: Table):
    graph = adjacency(additive, merge=True)
    assert graph.shape == (6_466, 6_466)
    assert (graph != graph.T).nnz == 0
    assert graph.diagonal().sum() == 0
    assert adjacency(additive, False).sum(axis=1).tolist() == [24] * 15_625


def test_the_whole_space_takes_seconds(additive: Table):
    start = time.perf_counter()
    shapes = [neighbourhood(additive, None, radius, metric="one").values.shape for radius in (1, 2, 3)]
    assert shapes == [(15_625, 24), (15_625, 240), (15_625, 1280)]
    assert time.perf_counter() - start < 30  # two on an idle core; the listing one by one takes half an hour


def test_any_space_by_its_own_neighbours(small_darts: Table):
    space = small_darts.space
    row = 1000
    centre = small_darts.genotype(row)
    for radius in (1, 2):
        at_distance = [r for r in range(len(small_darts)) if space.distance(centre, small_darts.genotype(r)) == radius]
        expected = np.sort(small_darts.values("a")[at_distance])
        by_table = neighbourhood(small_darts, row, radius, metric="a")
        by_function = neighbourhood(Surface.of(small_darts, "a"), centre, radius)
        np.testing.assert_array_equal(np.sort(by_table.pooled), expected)
        np.testing.assert_array_equal(np.sort(by_function.pooled), expected)


def test_a_function_is_called_once_per_architecture():
    calls = []
    surface = Surface(spaces.get("nasbench201"), lambda g: calls.append(g) or 1.0)
    cell = "333133"
    assert neighbourhood(surface, [cell, cell], 1).mean == 1.0
    assert len(calls) == len(set(calls)) == 25
    with pytest.raises(ArchgradError, match="only a table knows indices"):
        neighbourhood(surface, 9930, 1)
    with pytest.raises(ArchgradError, match="name the cells"):
        neighbourhood(surface, None, 1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_neighbours_in_the_darts_space(seed: int, radius: int):
    space = spaces.get("darts")
    parent = space.random(torch.Generator().manual_seed(seed))
    before = parent.to_json()
    for found in sample_neighbours(space, parent, radius, 20, np.random.default_rng(seed)):
        assert space.distance(parent, found) == radius
        assert space.parse(space.format(found)) == found  # two inputs per node, so that nothing is out of reach
    assert parent.to_json() == before


def test_one_edit_in_the_darts_space_is_another_operation_or_another_input():
    space = spaces.get("darts")
    parent = space.random(torch.Generator().manual_seed(7))
    # Per cell four nodes: two operations with six others each, and two inputs with 0, 1, 2, 3 free edges each.
    assert len(list(space.neighbours(parent))) == 2 * sum(2 * 6 + 2 * free for free in range(4))


def test_sampling_is_uniform(small_darts: Table):
    space, parent = small_darts.space, small_darts.genotype(100)
    everything = list(space.neighbours(parent, 2))
    drawn = sample_neighbours(space, parent, 2, 40 * len(everything), np.random.default_rng(0))
    counts = np.array([drawn.count(g) for g in everything])
    assert counts.sum() == len(drawn)
    chi_square = ((counts - 40) ** 2 / 40).sum()
    degrees = len(everything) - 1
    assert abs(chi_square - degrees) < 5 * np.sqrt(2 * degrees)


def test_samples_come_near_the_whole_neighbourhood(additive: Table):
    whole = neighbourhood(additive, 3, 3, metric="one")
    drawn = neighbourhood(additive, 3, 3, metric="one", sample=3000, seed=1)
    assert drawn.count == 3000
    assert drawn.mean == pytest.approx(whole.mean, abs=5 * whole.std / np.sqrt(3000))


def test_sampling_needs_something_to_draw(additive: Table):
    with pytest.raises(ArchgradError, match="no architecture lies 7 edits away"):
        neighbourhood(additive, 0, 7, metric="one", sample=3)
    with pytest.raises(ArchgradError, match="sample must be 1 or more"):
        neighbourhood(additive, 0, 1, metric="one", sample=0)
    with pytest.raises(ArchgradError, match="merging isomorphs needs a table"):
        neighbourhood(additive, 0, 1, metric="one", sample=3, merge=True)


def test_mixed_radix_arithmetic(additive: Table):
    """Every pair at distance 1 is found from both of its ends."""
    found = neighbour_rows(additive, np.arange(15_625))
    pairs = set(zip(np.repeat(np.arange(15_625), 24).tolist(), found.ravel().tolist(), strict=True))
    assert all((b, a) in pairs for a, b in itertools.islice(pairs, 5000))
