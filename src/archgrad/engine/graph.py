"""What flows where in a cell's graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from archgrad.choice import Row
from archgrad.genotype import Group, Kept
from archgrad.operations import Zero

if TYPE_CHECKING:
    from archgrad.engine.cell import Cell


def computed(cell: Cell, row: Row) -> Iterator[tuple[int, int, nn.Module]]:
    """The candidates that cost anything, as (edge, column of the mixture, operation), by ascending target."""
    columns = {name: column for column, name in enumerate(cell.group.operations)}
    for incoming in cell.group.incoming.values():
        for number in incoming:
            for name, operation in cell.operations[number].named_children():
                active = row.active is None or row.active[number][columns[name]]
                if active and not isinstance(operation, Zero):
                    yield number, columns[name], operation


def empty_state(group: Group, strides: Sequence[int], inputs: Sequence[Tensor], target: int) -> Tensor:
    """The zeros that stand for a state into which nothing flows."""
    number = next(e for e in group.incoming[target] if group.edges[e].source < len(inputs))
    x, stride = inputs[group.edges[number].source], strides[number]
    return torch.zeros_like(x[..., ::stride, ::stride])


def reached(
    group: Group, kept: Kept, inputs: int, outputs: Sequence[int], everything: bool = False
) -> list[tuple[int, str]]:
    """The kept (edge, candidate) pairs that carry something from an input to an output.

    ``none`` carries nothing; operations fed only by zeros, or whose result nobody reads, are left out unless
    ``everything`` is asked for.
    """
    pairs = [(number, name) for number, names in enumerate(kept) for name in names if name != Zero.name]
    if everything:
        return pairs
    filled = set(range(inputs))
    for number, _ in pairs:
        if group.edges[number].source in filled:
            filled.add(group.edges[number].target)
    read = set(outputs)
    for number, _ in reversed(pairs):
        if group.edges[number].target in read:
            read.add(group.edges[number].source)
    return [
        (number, name)
        for number, name in pairs
        if group.edges[number].source in filled and group.edges[number].target in read
    ]
