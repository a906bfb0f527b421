"""A table's architectures as a graph: an edge wherever one edit leads from one to the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array

from archgrad.errors import ArchgradError
from archgrad.genotype import Slot, slot_distance
from archgrad.tables import Table

DENSE = 2**24
"""The size of a space up to which the row of every code is kept in one array."""


def neighbour_rows(
    table: Table, rows: Int[np.ndarray, " cells"], radius: int = 1
) -> Int[np.ndarray, "cells neighbours"]:
    """For every row those of all architectures at exactly this distance; −1 for those that the table lacks."""
    if radius < 1:
        raise ArchgradError(f"neighbourhood: the radius must be 1 or more, got {radius}")
    if table.space.count <= DENSE:
        return _coded_rows(table, rows, radius)
    lists = [
        [-1 if found is None else found for found in map(table.find, table.space.neighbours(table.genotype(r), radius))]
        for r in rows.tolist()
    ]
    width = max(map(len, lists), default=0)
    return np.array([found + [-1] * (width - len(found)) for found in lists], dtype=np.int32).reshape(len(rows), width)


def _coded_rows(table: Table, rows: Int[np.ndarray, " cells"], radius: int) -> Int[np.ndarray, "cells neighbours"]:
    """Every way to spend ``radius`` edits on the slots, for all rows at once.

    Architectures are mixed-radix numbers; giving a slot another setting adds a multiple of its weight.
    """
    sizes = table.coding.sizes
    weights = np.append(np.cumprod(sizes[:0:-1])[::-1], 1)
    row_of = np.full(table.space.count, -1, dtype=np.int32)
    row_of[table.codes @ weights] = np.arange(len(table), dtype=np.int32)
    codes = table.codes[rows]
    numbers = codes @ weights
    rings = [_rings(slot) for slot in table.coding.slots]
    found = []
    for edits in _splits([list(ring) for ring in rings], radius):
        changed = [(slot, rings[slot][distance]) for slot, distance in enumerate(edits) if distance]
        for columns in itertools.product(*(range(others.shape[1]) for _, others in changed)):
            moved, exists = numbers.copy(), np.ones(len(rows), dtype=bool)
            for (slot, others), column in zip(changed, columns, strict=True):
                target = others[codes[:, slot], column]
                exists &= target >= 0
                moved += (target - codes[:, slot]) * weights[slot]
            found.append(np.where(exists, row_of[np.where(exists, moved, 0)], -1))
    return np.stack(found, axis=1) if found else np.empty((len(rows), 0), dtype=np.int32)


@lru_cache(maxsize=256)
def _rings(slot: Slot) -> dict[int, Int[np.ndarray, "settings others"]]:
    """Distance → for every setting of a slot the numbers of those at that distance, filled up with −1."""
    apart = np.array([[slot_distance(a, b) for b in slot.settings] for a in slot.settings])
    rings = {}
    for distance in np.unique(apart).tolist():
        others = [np.flatnonzero(row == distance) for row in apart]
        width = max(map(len, others))
        rings[distance] = np.array([np.pad(o, (0, width - len(o)), constant_values=-1) for o in others])
    return rings


def _splits(distances: list[list[int]], edits: int) -> Iterator[tuple[int, ...]]:
    """All ways to share edits among slots that take one of so many each."""
    if not distances:
        if edits == 0:
            yield ()
        return
    for first in distances[0]:
        if first <= edits:
            for rest in _splits(distances[1:], edits - first):
                yield (first, *rest)


def nodes(table: Table, merge: bool = False) -> Int[np.ndarray, " nodes"]:
    """The rows that are nodes of the graph: all, or with ``merge`` one for every isomorphism class."""
    return np.unique(table.class_rows) if merge else np.arange(len(table))


@lru_cache(maxsize=4)
def adjacency(table: Table, merge: bool) -> csr_array:
    """The graph as a symmetric matrix of ones, without loops, over `nodes`.

    With ``merge``, two classes are joined where any of their members are. Kept for the next call: do not change it.
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
