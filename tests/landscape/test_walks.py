"""Autocorrelation against its closed form, and walks against the exact one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archgrad.errors import ArchgradError
from archgrad.landscape import Surface, autocorrelation, correlation_length, exact_autocorrelation, random_walks
from archgrad.landscape.graph import adjacency
from archgrad.tables import Table

ONE_EDGE = 1 - 5 / 24  # a step redraws one edge of six among the other four: E = (5/6) f − (1/6)(1/4) f


@pytest.mark.parametrize(("metric", "order"), [("one", 1), ("two", 2)])
def test_closed_form(additive: Table, metric: str, order: int):
    factor = 1 - order * 5 / 24
    np.testing.assert_allclose(exact_autocorrelation(additive, 6, metric=metric), factor ** np.arange(7), atol=1e-10)


def test_length_of_a_sum_over_edges(additive: Table):
    exact = exact_autocorrelation(additive, 1, metric="one")
    assert correlation_length(exact) == pytest.approx(-1 / math.log(ONE_EDGE))


def test_walks_measure_the_exact_correlation(additive: Table):
    walks = random_walks(additive, 200, 300, metric="one", seed=3)
    assert walks.shape == (300, 201)
    np.testing.assert_allclose(autocorrelation(walks, 3), ONE_EDGE ** np.arange(4), atol=0.03)


def test_each_step_is_one_edit(small_darts: Table):
    row_of = {value: row for row, value in enumerate(small_darts.values("a").tolist())}
    joined = adjacency(small_darts, False)
    for walks in (
        random_walks(small_darts, 30, 3, metric="a"),
        random_walks(Surface.of(small_darts, "a"), 10, 2, seed=5),
    ):
        rows = np.vectorize(row_of.__getitem__)(walks)
        assert joined[rows[:, :-1].ravel(), rows[:, 1:].ravel()].sum() == rows[:, 1:].size


def test_same_seed_same_walk(additive: Table):
    first, second = (random_walks(additive, 20, 5, metric="one", seed=1) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_walks_over_classes(additive: Table):
    exact = exact_autocorrelation(additive, 2, metric="one", merge=True)
    measured = autocorrelation(random_walks(additive, 200, 300, metric="one", merge=True), 2)
    np.testing.assert_allclose(measured, exact, atol=0.04)


def test_what_has_no_correlation_is_refused(additive: Table):
    with pytest.raises(ArchgradError, match="the accuracy is constant"):
        exact_autocorrelation(additive, metric="constant")
    with pytest.raises(ArchgradError, match="the accuracy is constant"):
        autocorrelation(np.ones((2, 20)))
    with pytest.raises(ArchgradError, match="allow lags below that"):
        autocorrelation(np.ones((2, 5)), 5)
    with pytest.raises(ArchgradError, match="steps and walks must be 1 or more"):
        random_walks(additive, 0, metric="one")
