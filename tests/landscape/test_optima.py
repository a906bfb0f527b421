"""Local optima and basins against climbing one by one; clusters against counting pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from archgrad.errors import ArchgradError
from archgrad.landscape import clustering, local_optima
from archgrad.landscape.graph import adjacency
from archgrad.tables import Table


def climb(table: Table, values: np.ndarray, row: int) -> int:
    """To the best neighbour while it is better."""
    while True:
        around = [table.row(g) for g in table.space.neighbours(table.genotype(row))]
        best = max(around, key=lambda r: (values[r], -r))
        if values[best] <= values[row]:
            return row
        row = best


def test_optima_and_basins_by_brute_force(small_darts: Table):
    values = small_darts.values("a")
    graph = adjacency(small_darts, False)
    highest = [graph.indices[graph.indptr[r] : graph.indptr[r + 1]] for r in range(len(small_darts))]
    expected = {r for r, around in enumerate(highest) if values[around].max() <= values[r]}
    found = local_optima(small_darts, metric="a")
    assert set(found.index.tolist()) == expected
    assert found.accuracy.tolist() == sorted(found.accuracy.tolist(), reverse=True)
    assert found.basin.sum() == len(small_darts)
    for row in range(0, len(small_darts), 101):
        assert found.index[found.leads_to[row]] == climb(small_darts, values, row)


def test_a_sum_over_edges_has_one_optimum(additive: Table):
    found = local_optima(additive, metric="one")
    assert len(found) == 1
    assert found.index[0] == additive.best("one")[0].index
    assert found.basin.tolist() == [15_625]


def test_equal_networks_are_no_plateau_when_merged(nasbench: Table):
    merged = local_optima(nasbench, merge=True)
    assert merged.basin.sum() == 6_466
    assert len(merged) <= len(local_optima(nasbench))
    assert merged.index[0] == 6111


def test_missing_values_are_not_there(cells: Callable[..., Table], additive: Table):
    values = additive.values("one").copy()
    top = additive.row(additive.best("one")[0].index)
    values[top] = np.nan
    found = local_optima(cells(a=values), metric="a")
    assert top not in found.index
    assert found.basin.sum() == 15_624
    assert found.leads_to[top] == -1


def test_clustering_by_brute_force(small_darts: Table):
    found = clustering(small_darts, 40, metric="a")
    values = small_darts.values("a")
    best = np.argsort(-values)[:40].tolist()
    graph = adjacency(small_darts, False).toarray()
    unequal = [(small_darts.codes[a] != small_darts.codes[b]).sum() for a, b in itertools.combinations(best, 2)]
    assert found.mean_distance == pytest.approx(np.mean(unequal))
    assert found.neighbour_share == pytest.approx(graph[np.ix_(best, best)].sum() / graph[best].sum())
    assert found.expected_share == pytest.approx(39 / 2303)
    assert found.threshold == values[best].min()


def test_random_accuracies_are_not_clustered(cells: Callable[..., Table]):
    found = clustering(cells(a=np.random.default_rng(0).random(15_625)), 0.1, metric="a")
    assert found.count == 1562
    assert found.mean_distance == pytest.approx(found.expected_distance, rel=0.01)
    assert found.expected_distance == pytest.approx(6 * 4 / 5, rel=1e-3)
    assert found.concentration == pytest.approx(1, abs=0.1)


def test_one_ball_is_one_cluster(cells: Callable[..., Table], additive: Table):
    distance = (additive.codes != 3).sum(axis=1)
    found = clustering(cells(a=-distance.astype(float)), 25, metric="a")
    assert (found.components, found.largest, found.threshold) == (1, 25, -1)
    # The centre has 24 of them around it, each other one the centre and three that differ in the same edge.
    assert found.neighbour_share == pytest.approx((24 + 24 * 4) / (25 * 24))


def test_all_or_one_is_no_cluster(additive: Table):
    for top in (1, 15_625, 0.00001):
        with pytest.raises(ArchgradError, match="at least 2 and not all"):
            clustering(additive, top, metric="one")


def test_accurate_cells_are_neighbours(nasbench: Table):
    found = clustering(nasbench, 0.01, merge=True)
    assert (found.count, found.components) == (65, 1)
    assert found.concentration > 20


def test_on_a_plateau_nobody_climbs(additive: Table):
    found = local_optima(additive, metric="constant")
    assert len(found) == 15_625
    assert set(found.basin) == {1}
