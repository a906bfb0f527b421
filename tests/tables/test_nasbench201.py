"""The benchmark's numbering and isomorphism classes follow from rules, without its data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from archgrad.errors import ArchgradError
from archgrad.tables import nasbench201


def index_of(digits: str) -> int:
    return int(np.flatnonzero((nasbench201.cells() == [int(d) for d in digits]).all(axis=1))[0])


def test_every_cell_once():
    assert len(np.unique(nasbench201.cells(), axis=0)) == 15_625
    assert (nasbench201.indices(nasbench201.cells()[::-1]) == np.arange(15_625)[::-1]).all()
    assert index_of("333133") == 9930


def test_classes():
    classes = nasbench201.isomorphs()
    assert len(np.unique(classes)) == 6_466
    assert (classes <= np.arange(15_625)).all()
    assert (classes[classes] == classes).all()


def test_numbers_and_classes_of_the_published_table(real_data: Callable[[str], Path]):
    data = pq.read_table(real_data("nasbench201/nasbench201.parquet"))
    assert data["ops"].to_pylist() == ["".join(map(str, cell)) for cell in nasbench201.cells().tolist()]
    assert data["isomorph"].to_pylist() == nasbench201.isomorphs().tolist()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("300010", "000300", True),  # conv to state 1 and a skip from there, or conv straight to the output
        ("300010", "030001", False),  # through state 2, whose other summand is zero, and zeros count
        ("103003", "130003", True),  # conv to state 2, from the input or from its copy in state 1
        ("300020", "200030", False),  # the order of two operations matters
    ],
)
def test_which_cells_are_one_network(one: str, other: str, equal: bool):
    expressions = {nasbench201.expression([int(d) for d in digits]) for digits in (one, other)}
    assert (len(expressions) == 1) == equal


def test_values_of_a_class_are_those_of_all_its_cells():
    uid = int(nasbench201.isomorphs()[np.bincount(nasbench201.isomorphs()).argmax()])
    table = nasbench201.table("one class", {"a": {uid: 3.0}}, per_class=True)
    members = np.flatnonzero(nasbench201.isomorphs() == uid)
    assert len(members) > 1
    assert table.index.tolist() == members.tolist()
    assert set(table.values("a")) == {3.0}


@pytest.mark.parametrize("index", [-1, 15_625])
def test_indices_outside_are_refused(index: int):
    with pytest.raises(ArchgradError, match="must lie between 0 and 15624"):
        nasbench201.table("far", {"a": {index: 1.0}})


def test_no_values_are_refused():
    with pytest.raises(ArchgradError, match="no values found in nowhere"):
        nasbench201.table("empty", {}, source="nowhere")
