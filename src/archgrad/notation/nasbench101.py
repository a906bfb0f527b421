"""Cells of NAS-Bench-101 as programs print them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from archgrad.errors import ArchgradError, shown
from archgrad.notation.text import Call

OP, INPUT = re.compile(r"(?:.*/)?op_?(\d+)"), re.compile(r"(?:.*/)?input_?(\d+)")


class Matrix(NamedTuple):
    """Which vertex feeds which, and the labels of the vertices from input to output."""

    matrix: list[list[int]]
    ops: list[str]


def matrix(data: Any) -> Matrix | None:
    """A cell from ``{"matrix": …, "ops": …}``, ``ModelSpec(matrix, ops)``, ``(matrix, ops)`` or NNI's ``{"op1": …}``.

    None where the data are nothing of the kind.
    """
    if isinstance(data, Call):
        data = {**dict(zip(("matrix", "ops"), data.arguments, strict=False)), **data.fields}
    if isinstance(data, list) and len(data) == 2 and isinstance(data[1], list) and "output" in data[1]:
        data = {"matrix": data[0], "ops": data[1]}  # as confopt prints it
    if not isinstance(data, dict):
        return None
    if {"matrix", "ops"} <= set(data):
        rows, labels = data["matrix"], data["ops"]
        if not _is_matrix(rows) or not (isinstance(labels, list) and all(isinstance(op, str) for op in labels)):
            raise ArchgradError('nasbench101: a cell is {"matrix": [[0, 1, …], …], "ops": ["input", …, "output"]}')
        return Matrix([[int(value) for value in row] for row in rows], labels)
    operations = {int(place[1]): value for key, value in data.items() if (place := OP.fullmatch(str(key)))}
    return _of_vertices(data, operations) if operations else None


def _is_matrix(rows: Any) -> bool:
    return isinstance(rows, list) and all(
        isinstance(row, list) and all(value in (0, 1) for value in row) for row in rows
    )


def by_vertex(matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> dict[str, Any]:
    """``{"op1": …, "input1": […], …}`` as NNI writes it."""
    last = len(ops) - 1
    inputs = {f"input{v}": [source for source in range(v) if matrix[source][v]] for v in range(1, last + 1)}
    return {**{f"op{v}": ops[v] for v in range(1, last)}, **inputs}


def _of_vertices(data: dict[Any, Any], operations: dict[int, Any]) -> Matrix:
    """From the operations and the inputs of vertices by number."""
    last = len(operations) + 1
    sources = {int(place[1]): value for key, value in data.items() if (place := INPUT.fullmatch(str(key)))}
    if sorted(operations) != list(range(1, last)) or sorted(sources) != list(range(1, last + 1)):
        raise ArchgradError("nasbench101: the vertices need op1, op2, … and input1, input2, …, one more for the output")
    rows = [[0] * (last + 1) for _ in range(last + 1)]
    for target, given in sources.items():
        for source in given if isinstance(given, list) else [given]:
            if type(source) is not int or not 0 <= source < target:
                raise ArchgradError(f"nasbench101: input{target} must list vertices below {target}, got {shown(given)}")
            rows[source][target] = 1
    return Matrix(rows, ["input", *(str(operations[number]) for number in range(1, last)), "output"])
