"""What flows where in a cell's graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.channels import left, shuffled, taken
from archgrad.genotype import Group, Kept
from archgrad.operations import Zero


class Flow(NamedTuple):
    """One operation that is computed: the edge it lies on, and the place of its weight among those of the pass.

    ``members``: the columns of the candidates that it stands for, where a modifier computes several at once.
    """

    edge: int
    place: int
    operation: nn.Module
    members: tuple[int, ...] = ()


class Graph(NamedTuple):
    """What one forward pass of a cell computes: state_j = Σ over flows into j of weight · operation(source).

    ``weights``: one per place, flat; None where every flow counts as it is.
    ``share``: the operations see one in ``share`` of the channels. The rest passes by every edge, and the channels of
    the sum are shuffled, so that all are seen in turn. ``order``: in which channels are taken, None for as they are.
    ``edges``: per edge, how much what passes it by counts; None for 1. ``added``: a number per edge, added to what it
    brings; None for nothing.
    """

    group: Group
    strides: Sequence[int]
    flows: Sequence[Flow]
    weights: Tensor | None = None
    share: int = 1
    order: Tensor | None = None
    edges: Tensor | None = None
    added: Tensor | None = None

    def taken(self, x: Tensor) -> Tensor:
        """The channels of a state that operations see."""
        return x if self.share == 1 else taken(x, self.share, self.order)

    def completed(self, target: int, mixed: Tensor, states: Mapping[int, Tensor]) -> Tensor:
        """A state from the sum of what its flows bring, together with what passed them by."""
        if self.added is not None:
            incoming = self.group.incoming[target]  # neighbours, since edges are listed by their targets
            mixed = mixed + self.added[incoming[0] : incoming[-1] + 1].sum().to(mixed)
        if self.share == 1:
            return mixed
        total: Tensor | None = None
        for number in self.group.incoming[target]:
            rest = left(states[self.group.edges[number].source], self.share, self.order)
            if self.strides[number] > 1:
                rest = F.max_pool2d(rest, self.strides[number], ceil_mode=True)
            rest = rest if self.edges is None else rest * self.edges[number]
            total = rest if total is None else total + rest
        assert total is not None
        return shuffled(torch.cat([mixed, total], 1), self.share)

    def picked(self, places: Sequence[int]) -> dict[int, Tensor]:
        """Place → weight. Cut out piece by piece: an index would have to be brought to the device first."""
        assert self.weights is not None
        used = set(places)
        edges = {place for place in used if place - 1 not in used} | {place + 1 for place in used} - used
        cuts = sorted({0, *edges, len(self.weights)})
        found: dict[int, Tensor] = {}
        for start, piece in zip(cuts, torch.split(self.weights, [b - a for a, b in pairwise(cuts)]), strict=False):
            if start in used:
                found |= enumerate(piece.unbind(), start)
        return found

    def empty(self, states: Mapping[int, Tensor], target: int) -> Tensor:
        """The zeros that stand for a sum without flows."""
        number = self.group.incoming[target][0]
        x, stride = self.taken(states[self.group.edges[number].source]), self.strides[number]
        return torch.zeros_like(x[..., ::stride, ::stride])


def computed(
    group: Group, operations: nn.ModuleList, columns: Sequence[str], active: Sequence[Sequence[bool]] | None
) -> list[Flow]:
    """The operations that cost anything, by ascending target; places count ``columns`` per edge."""
    column = {name: number for number, name in enumerate(columns)}
    return [
        Flow(number, len(columns) * number + column[name], operation)
        for incoming in group.incoming.values()
        for number in incoming
        for name, operation in operations[number].named_children()
        if (active is None or active[number][column[name]]) and not isinstance(operation, Zero)
    ]


def filled(group: Group, numbers: Iterable[int], inputs: int) -> set[int]:
    """The states that hold something: the inputs, and what edges of these numbers, in order, bring on from them."""
    found = set(range(inputs))
    for number in numbers:
        if group.edges[number].source in found:
            found.add(group.edges[number].target)
    return found


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
    full = filled(group, [number for number, _ in pairs], inputs)
    read = set(outputs)
    for number, _ in reversed(pairs):
        if group.edges[number].target in read:
            read.add(group.edges[number].source)
    return [
        (number, name)
        for number, name in pairs
        if group.edges[number].source in full and group.edges[number].target in read
    ]
