"""A table's architectures as a graph: an edge wherever one edit leads from one to the other."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array

from archgrad.errors import ArchgradError
from archgrad.tables import Table

DENSE = 2**24
"""The size of a space up to which the row of every code is kept in one array."""


def neighbour_rows(
    table: Table, rows: Int[np.ndarray, " cells"], radius: int = 1
) -> Int[np.ndarray, "cells neighbours"]:
    """For every row those of all architectures at exactly this distance; −1 for those that the table lacks."""
    if radius < 1:
        raise ArchgradError(f"neighbourhood: the radius must be 1 or more, got {radius}")
    if table.coding.is_hamming and table.space.size <= DENSE:
        return _hamming_rows(table, rows, radius)
    lists = [
        [-1 if found is None else found for found in map(table.find, table.space.neighbours(table.genotype(r), radius))]
        for r in rows.tolist()
    ]
    width = max(map(len, lists), default=0)
    return np.array([found + [-1] * (width - len(found)) for found in lists], dtype=np.int32).reshape(len(rows), width)


def _hamming_rows(table: Table, rows: Int[np.ndarray, " cells"], radius: int) -> Int[np.ndarray, "cells neighbours"]:
    """Every choice of ``radius`` slots, and every way to change all of them, at once for all rows.

    Architectures are mixed-radix numbers; changing a digit adds a multiple of its weight.
    """
    sizes = table.coding.sizes
    weights = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    row_of = np.full(table.space.size, -1, dtype=np.int32)
    row_of[table.codes @ weights] = np.arange(len(table), dtype=np.int32)
    codes = table.codes[rows]
    numbers = codes @ weights
    found = []
    for slots in itertools.combinations(range(len(sizes)), radius):
        for shifts in itertools.product(*(range(1, sizes[slot]) for slot in slots)):
            change = np.zeros_like(numbers)
            for slot, shift in zip(slots, shifts, strict=True):
                digit = codes[:, slot]
                change += ((digit + shift) % sizes[slot] - digit) * weights[slot]
            found.append(row_of[numbers + change])
    return np.stack(found, axis=1) if found else np.empty((len(rows), 0), dtype=np.int32)


def nodes(table: Table, merge: bool = False) -> Int[np.ndarray, " nodes"]:
    """The rows that are nodes of the graph: all, or with ``merge`` one for every isomorphism class."""
    return np.unique(table.class_rows) if merge else np.arange(len(table))


def adjacency(table: Table, merge: bool = False) -> csr_array:
    """The graph as a symmetric matrix of ones, without loops, over `nodes`.

    With ``merge``, two classes are joined where any of their members are.
    """
    of_node = nodes(table, merge)
    node_of = np.searchsorted(of_node, table.class_rows if merge else np.arange(len(table)))
    found = neighbour_rows(table, np.arange(len(table)))
    source = np.repeat(node_of, found.shape[1])
    target = node_of[found.ravel()]
    kept = (found.ravel() >= 0) & (source != target)
    matrix = csr_array((np.ones(kept.sum()), (source[kept], target[kept])), shape=(len(of_node), len(of_node)))
    matrix.sum_duplicates()
    matrix.data[:] = 1.0
    return matrix
