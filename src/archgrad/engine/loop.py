"""The fused executor: one candidate after the other, nothing computed twice and little kept for backward."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from archgrad.choice import Row
from archgrad.engine.graph import computed, empty_state
from archgrad.kernels import (
    BatchStatistics,
    Term,
    average_pool,
    depthwise_conv,
    mixed_sum,
    pointwise_bn_relu,
    shared_bn,
    update_running_statistics,
)
from archgrad.operations.declaration import Declaration, Hidden, Shared, Step, declaration, is_depthwise
from archgrad.operations.pooling import average_pool as plain_average_pool

if TYPE_CHECKING:
    from archgrad.engine.cell import Cell, SettledCell

FASTER: dict[Callable[..., Tensor], Callable[..., Tensor]] = {plain_average_pool: average_pool}
"""Functions that a kernel computes better on a CPU."""


def loop(cell: Cell, inputs: Sequence[Tensor], row: Row) -> dict[int, Tensor]:
    """state_j = Σ_k w_k · BN_k(W_k z_k), accumulated in place; prefixes that agree are computed once per state."""
    width = len(cell.group.operations)
    leaving = [(edge, width * edge + column, operation) for edge, column, operation in computed(cell, row)]
    return _walk(cell, inputs, leaving, row.weights.flatten())


def settled_loop(cell: SettledCell, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """The same for decisions that are made: every operation counts as it is."""
    leaving = [(edge, 0, operation) for edge, operation in zip(cell.places, cell.operations, strict=True)]
    return _walk(cell, inputs, leaving, None)


def _walk(
    cell: Cell | SettledCell,
    inputs: Sequence[Tensor],
    leaving: Sequence[tuple[int, int, nn.Module]],
    weights: Tensor | None,
) -> dict[int, Tensor]:
    """State by state: finish it by adding up what has arrived, then compute all that leaves it."""
    edges = cell.group.edges
    states = dict(enumerate(inputs))
    statistics: list[BatchStatistics] = []
    arrived: dict[int, list[tuple[int, Term]]] = {target: [] for target in cell.group.incoming}
    for state in sorted({*states, *arrived}):
        if state in arrived:
            places = [place for place, _ in arrived[state]]
            terms = [term for _, term in arrived.pop(state)]
            if not terms:
                states[state] = empty_state(cell.group, cell.strides, inputs, state)
            else:
                mixture = None if weights is None else weights[torch.tensor(places, device=weights.device)]
                states[state], seen = mixed_sum(terms, None if mixture is None else mixture.to(terms[0].z.dtype))
                statistics += seen
        mine = [(edge, place, declaration(op)) for edge, place, op in leaving if edges[edge].source == state]
        if mine:
            source = Source(states[state], [declared for _, _, declared in mine], statistics)
            for edge, place, declared in mine:
                arrived[edges[edge].target].append((place, source.term(declared)))
    update_running_statistics(statistics)
    return states


class Source:
    """What leaves one state, each shared part of it computed once."""

    def __init__(self, x: Tensor, leaving: Sequence[Declaration], statistics: list[BatchStatistics]):
        self.statistics = statistics
        self.maps: dict[Hashable, Tensor] = {(): x.contiguous(memory_format=torch.channels_last)}
        self.norms: dict[Hashable, list[nn.BatchNorm2d]] = {}
        for declared in leaving:
            if (key := _norm_key(declared)) is not None and declared.norm is not None:
                self.norms.setdefault(key, []).append(declared.norm)

    def term(self, declared: Declaration) -> Term:
        """The term of an operation."""
        key = _norm_key(declared)
        if key is None:
            kept = bool(declared.prefix) and _shared(declared.prefix)  # by the ReLU itself, or by many terms
            return Term(self.prefix(declared.prefix), declared.weight, declared.norm, kept)
        if key not in self.maps:
            self.maps[key] = self._seen(shared_bn(self.prefix(declared.prefix), self.norms[key]))
        return Term(self.maps[key])

    def prefix(self, steps: tuple[Step, ...]) -> Tensor:
        """All steps but those that another operation has taken already."""
        if steps in self.maps:
            return self.maps[steps]
        z = self._step(steps[-1], self.prefix(steps[:-1]))
        if _shared(steps):
            self.maps[steps] = z
        return z

    def _step(self, step: Step, z: Tensor) -> Tensor:
        if isinstance(step, Shared):
            return FASTER.get(step.function, step.function)(z, *step.arguments)
        if isinstance(step, Hidden):
            return self._seen(pointwise_bn_relu(z, step.conv.weight, step.norm))
        if is_depthwise(step):
            return depthwise_conv(z, step.weight, step.stride[0], int(step.padding[0]), step.dilation[0])
        result: Tensor = step(z)
        return result

    def _seen(self, computed: tuple[Tensor, list[BatchStatistics]]) -> Tensor:
        self.statistics += computed[1]
        return computed[0]


def _shared(steps: tuple[Step, ...]) -> bool:
    return all(isinstance(step, Shared) for step in steps)


def _norm_key(declared: Declaration) -> Hashable | None:
    """What BNs that compute the same have in common; None for one that has something of its own."""
    norm = declared.norm
    if norm is None or declared.weight is not None or norm.affine or not _shared(declared.prefix):
        return None
    if not norm.training and norm.running_mean is not None:
        return None
    return declared.prefix, norm.eps
