"""The numbering of the NAS-Bench-201 cells that all its tables share, and which cells it counts as the same network."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

from archgrad.errors import ArchgradError
from archgrad.spaces.nasbench201 import OPERATIONS, NASBench201
from archgrad.tables.table import Table

CELLS = 5**6
ORDER_SEED = 88
"""Of the shuffle by which the authors of the benchmark numbered its cells."""

DATASETS = {
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "ImageNet16-120": "in16",
    "imagenet": "in16",
}
"""The data sets' names in published files → the first part of our column names."""


@lru_cache(1)
def cells() -> Int[np.ndarray, "15625 6"]:
    """The digits of every cell, in the order of the benchmark's index: row 9930 is 333133.

    *Source:* NAS-Bench-201's generator shuffles the lexicographic list with Python's random numbers.
    """
    order = list(itertools.product(range(5), repeat=6))
    random.Random(ORDER_SEED).shuffle(order)
    return _constant(order)


def indices(codes: Int[np.ndarray, "rows 6"]) -> Int[np.ndarray, " rows"]:
    """The benchmark's index of cells given by their digits: the inverse of `cells`."""
    powers = 5 ** np.arange(5, -1, -1)
    index_of = np.empty(CELLS, dtype=np.int64)
    index_of[cells() @ powers] = np.arange(CELLS)
    found: Int[np.ndarray, " rows"] = index_of[codes @ powers]
    return found


def expression(digits: Sequence[int]) -> str:
    """What a cell computes, as text: operations applied to sums, without skips and, where they end a path, zeros.

    Cells with equal expressions are isomorphic in the sense of the benchmark. A zero stays a summand and a skipped sum
    is not sorted into the sum around it, so that some cells that compute the same have different expressions.
    """

    def term(operation: str, argument: str) -> str:
        if operation == "none" or argument == "#":
            return "#"
        return argument if operation == "skip_connect" else f"({argument})@{operation}"

    names = iter([OPERATIONS[digit] for digit in digits])
    states = ["0"]
    for _ in range(3):
        states.append("+".join(sorted([term(next(names), state) for state in states])))
    return states[-1]


@lru_cache(1)
def isomorphs() -> Int[np.ndarray, " 15625"]:
    """For every cell the smallest index among the cells with the same `expression`: 6,466 different ones.

    *Source:* Dong and Yang, NAS-Bench-201, arXiv 2001.00326, section 2.1.
    """
    first: dict[str, int] = {}
    return _constant([first.setdefault(expression(cell), index) for index, cell in enumerate(cells().tolist())])


def _constant(values: Sequence[object]) -> Int[np.ndarray, "*shape"]:
    array = np.array(values)
    array.flags.writeable = False  # everybody gets the same one
    return array


def table(
    name: str,
    values: Mapping[str, Mapping[int, float]],
    *,
    source: str = "",
    per_class: bool = False,
) -> Table:
    """A table from column → index → value; cells without any value are left out.

    ``per_class``: the indices stand for isomorphism classes, and their values are those of all cells of the class.
    """
    columns: dict[str, Float[np.ndarray, " 15625"]] = {}
    for column, by_index in values.items():
        filled = np.full(CELLS, np.nan)
        index = np.fromiter(by_index, dtype=np.int64, count=len(by_index))
        if index.size and (index.min() < 0 or index.max() >= CELLS):
            raise ArchgradError(f"table {name!r}: the indices of {column!r} must lie between 0 and {CELLS - 1}")
        filled[index] = list(by_index.values())
        columns[column] = filled[isomorphs()] if per_class else filled
    if not columns:
        raise ArchgradError(f"table {name!r}: no values found in {source or 'its source'}")
    known = np.flatnonzero(~np.all(np.isnan(list(columns.values())), axis=0))
    return Table(
        name=name,
        space=NASBench201(),
        codes=cells()[known],
        index=known,
        isomorph=isomorphs()[known],
        columns={column: data[known] for column, data in columns.items()},
        source=source,
    )
