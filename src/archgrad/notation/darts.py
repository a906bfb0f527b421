"""DARTS' cells as other programs read them, by the name of the program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from archgrad.errors import ArchgradError, unknown
from archgrad.notation import fairdarts, nasbench301, naslib, nni
from archgrad.notation.cells import Nodes, called, with_cells

Cells = Mapping[str, Nodes]
FIRST = 2
"""The number of the first node: the states before it are what a cell reads."""


def _pc_darts(cells: Cells) -> str:
    return called("Genotype", _in_pairs(cells))


def _darts(cells: Cells) -> str:
    return called("Genotype", _in_pairs(cells), ranges=False)


def _confopt(cells: Cells) -> str:
    return called("DARTSGenotype", _in_pairs(cells), ranges=False)


def _fairdarts(cells: Cells) -> str:
    rows = {kind: fairdarts.written(cell.nodes, FIRST) for kind, cell in cells.items()}
    return with_cells("Genotype", rows, cells)


def _naslib(cells: Cells) -> str:
    return repr(tuple(tuple(naslib.numbered(cell.nodes)) for cell in _surrogate(cells).values()))


def _nasbench301(cells: Cells) -> str:
    return json.dumps(nasbench301.written({kind: cell.nodes for kind, cell in _surrogate(cells).items()}))


def _nni(cells: Cells) -> str:
    return json.dumps(nni.written({kind: cell.nodes for kind, cell in _in_pairs(cells).items()}, FIRST))


WRITERS: dict[str, Callable[[Cells], str]] = {
    "pc_darts": _pc_darts,
    "darts": _darts,
    "confopt": _confopt,
    "fairdarts": _fairdarts,
    "naslib": _naslib,
    "nasbench301": _nasbench301,
    "nni": _nni,
}


def _in_pairs(cells: Cells) -> Cells:
    """The cells, if every node has two inputs."""
    for kind, cell in cells.items():
        for number, node in enumerate(cell.nodes, FIRST):
            if len(node) != 2:
                raise ArchgradError(
                    f"genotype: node {number} of {kind} keeps {len(node)} operations, and this notation writes two: "
                    "fairdarts and json write any number"
                )
    return cells


def _surrogate(cells: Cells) -> Cells:
    """The cells, if they are of the space of NAS-Bench-301: both kinds, four nodes, two inputs, seven operations."""
    if set(cells) != {"normal", "reduce"} or any(len(cell.nodes) != 4 for cell in cells.values()):
        raise ArchgradError("genotype: this notation is for a normal and a reduction cell of four nodes each")
    for cell in _in_pairs(cells).values():
        for name, _ in (pair for node in cell.nodes for pair in node):
            if name not in naslib.OPERATIONS:
                raise unknown("operation of this notation", name, naslib.OPERATIONS)
    return cells
