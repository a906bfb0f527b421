"""Cells as numbers, as NASLib and its surrogate benchmark NAS-Bench-301 write them.

DARTS' cells are pairs (input, operation), those of NAS-Bench-201 and TransNAS-Bench-101 six operations, and those of
NAS-Bench-101 a matrix with its labels behind it. *Source:* the `conversions.py` of NASLib's spaces.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from archgrad.errors import ArchgradError, shown

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""In the order of the numbers, which is that of DARTS without ``none``; NNI counts them in the same order."""

EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
"""(source, target) of the six edges, in the order of NASLib: by source, not by target as in the benchmarks' texts."""
ON_EDGES = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
"""Operations of NAS-Bench-201 in the order of their numbers; TransNAS-Bench-101 has the first four."""
ON_VERTICES = ("input", "output", "maxpool3x3", "conv1x1-bn-relu", "conv3x3-bn-relu")
"""Labels of NAS-Bench-101 in the order of their numbers."""


def is_number(value: Any) -> bool:
    """Whether it is a whole number."""
    return type(value) is int


def is_pairs(cell: Any) -> bool:
    """Whether a cell is made of pairs of numbers."""
    pairs = isinstance(cell, list) and cell and all(isinstance(p, list) and len(p) == 2 for p in cell)
    return bool(pairs) and all(is_number(value) for pair in cell for value in pair)


def operation(number: int) -> str:
    """The operation of a number."""
    if not 0 <= number < len(OPERATIONS):
        raise ArchgradError(
            f"genotype: operation {number} is not one of 0 to {len(OPERATIONS) - 1}, NASLib's numbers of DARTS' "
            "operations without none"
        )
    return OPERATIONS[number]


def named(cell: list[list[int]]) -> list[list[Any]]:
    """The pairs (operation, input) of a cell of numbers."""
    return [[operation(number), source] for source, number in cell]


def numbered(nodes: list[list[tuple[str, int]]]) -> list[tuple[int, int]]:
    """The inverse of `named`, in a row."""
    return [(source, OPERATIONS.index(name)) for node in nodes for name, source in node]


def six(data: Any, operations: Sequence[str] = ON_EDGES) -> dict[tuple[int, int], str]:
    """(source, target) → operation, from six numbers."""
    if not (isinstance(data, list) and len(data) == 6 and all(map(is_number, data))):
        raise ArchgradError(f"genotype: NASLib writes six numbers, as (2, 0, 1, 4, 3, 2), got {shown(data)}")
    if not all(0 <= number < len(operations) for number in data):
        raise ArchgradError(f"genotype: NASLib's operations are 0 to {len(operations) - 1}, got {shown(data)}")
    return {edge: operations[number] for edge, number in zip(EDGES, data, strict=True)}


def of_six(edges: Mapping[tuple[int, int], str], operations: Sequence[str] = ON_EDGES) -> str:
    """The inverse of `six`."""
    return repr(tuple(operations.index(edges[edge]) for edge in EDGES))


def vertices(data: Any) -> dict[str, Any]:
    """Matrix and labels of a cell of NAS-Bench-101, from the n² numbers of the one and the n of the other."""
    numbers = data if isinstance(data, list) else []
    size = math.isqrt(len(numbers))
    if size < 2 or size * (size + 1) != len(numbers) or not all(map(is_number, numbers)):
        raise ArchgradError(f"genotype: NASLib writes n² numbers of a matrix and n of labels, got {shown(data)}")
    labels = numbers[size * size :]
    if not all(0 <= number < len(ON_VERTICES) for number in labels):
        raise ArchgradError(f"genotype: NASLib's labels are 0 to {len(ON_VERTICES) - 1}, got {shown(labels)}")
    rows = [numbers[start : start + size] for start in range(0, size * size, size)]
    return {"matrix": rows, "ops": [ON_VERTICES[number] for number in labels]}


def of_vertices(matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> str:
    """The inverse of `vertices`."""
    return repr((*(value for row in matrix for value in row), *map(ON_VERTICES.index, ops)))
