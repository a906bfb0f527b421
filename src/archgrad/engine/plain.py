"""The reference executor: the loop over edges and operations, as it stands in the formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from archgrad.choice import Row
from archgrad.engine.graph import computed, empty_state

if TYPE_CHECKING:
    from archgrad.engine.cell import Cell, SettledCell


def plain(cell: Cell, inputs: Sequence[Tensor], row: Row) -> dict[int, Tensor]:
    """state_j = Σ_{edges i→j} Σ_o w_{ij,o} · operation_{ij,o}(state_i), one operation at a time."""
    states = dict(enumerate(inputs))
    candidates = list(computed(cell, row))
    for target in cell.group.incoming:
        total: Tensor | None = None
        for number, column, operation in candidates:
            edge = cell.group.edges[number]
            if edge.target == target:
                term = operation(states[edge.source]) * row.weights[number, column]
                total = term if total is None else total + term
        states[target] = empty_state(cell.group, cell.strides, inputs, target) if total is None else total
    return states


def settled_plain(cell: SettledCell, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """state_j = Σ operation(state_i) over the operations that stay."""
    states = dict(enumerate(inputs))
    kept = [(cell.group.edges[place], operation) for place, operation in zip(cell.places, cell.operations, strict=True)]
    for target in cell.group.incoming:
        terms = [operation(states[edge.source]) for edge, operation in kept if edge.target == target]
        states[target] = sum(terms[1:], terms[0]) if terms else empty_state(cell.group, cell.strides, inputs, target)
    return states
