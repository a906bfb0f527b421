"""DARTS' cells as FairDARTS prints them: triples (operation, node, input), as many per node as a threshold leaves."""

from __future__ import annotations

from typing import Any

from archgrad.errors import ArchgradError
from archgrad.notation import naslib
from archgrad.notation.text import WIDEST


def is_edges(cell: Any) -> bool:
    """Whether a cell is a row of such triples: the node is above its input."""
    return isinstance(cell, list) and bool(cell) and all(map(_is_edge, cell))


def nodes(cell: list[list[Any]], first: int, concat: list[int] | None) -> list[list[list[Any]]]:
    """The pairs (operation, input) of every node from the first one on; nodes may have none."""
    last = max([node for _, node, _ in cell] + (concat or []))
    if last > WIDEST:
        raise ArchgradError(f"genotype: node {last} is beyond what any cell has")
    return [[[name, source] for name, node, source in cell if node == number] for number in range(first, last + 1)]


def written(nodes: list[list[tuple[str, int]]], first: int) -> list[tuple[str, int, int]]:
    """The inverse of `nodes`."""
    return [(name, number, source) for number, node in enumerate(nodes, first) for name, source in node]


def _is_edge(edge: Any) -> bool:
    match edge:
        case [str(), node, source]:
            return naslib.is_number(node) and naslib.is_number(source) and node > source
    return False
