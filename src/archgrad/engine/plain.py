"""The reference executor: the loop over edges and operations, as it stands in the formula."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from archgrad.choice import Row
from archgrad.engine.graph import empty_state
from archgrad.operations import Zero

if TYPE_CHECKING:
    from archgrad.engine.cell import Cell


def plain(cell: Cell, inputs: Sequence[Tensor], row: Row) -> dict[int, Tensor]:
    """state_j = Σ_{edges i→j} Σ_o w_{ij,o} · operation_{ij,o}(state_i), one operation at a time."""
    columns = {name: column for column, name in enumerate(cell.group.operations)}
    states = dict(enumerate(inputs))
    for target, incoming in cell.group.incoming.items():
        total: Tensor | None = None
        for number in incoming:
            for name, operation in cell.operations[number].named_children():
                column = columns[name]
                if isinstance(operation, Zero) or (row.active is not None and not row.active[number][column]):
                    continue
                term = operation(states[cell.group.edges[number].source]) * row.weights[number, column]
                total = term if total is None else total + term
        states[target] = empty_state(cell.group, cell.strides, inputs, target) if total is None else total
    return states
