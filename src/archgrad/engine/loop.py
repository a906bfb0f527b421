"""The fused executor: one candidate after the other, nothing computed twice and little kept for backward."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, nn

from archgrad.engine.graph import Graph
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
from archgrad.operations.convolution import strided
from archgrad.operations.declaration import Declaration, Hidden, Shared, Step, declaration, is_depthwise
from archgrad.operations.pooling import average_pool as plain_average_pool

FASTER: dict[Callable[..., Tensor], Callable[..., Tensor]] = {plain_average_pool: average_pool}
"""Functions that a kernel computes better on a CPU."""


def loop(graph: Graph, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """state_j = Σ_k w_k · BN_k(W_k z_k), accumulated in place; prefixes that agree are computed once per state.

    State by state: finish it by adding up what has arrived, then compute all that leaves it.
    """
    edges = graph.group.edges
    used = None if graph.weights is None else graph.picked([flow.place for flow in graph.flows])
    states = dict(enumerate(inputs))
    statistics: list[BatchStatistics] = []
    arrived: dict[int, list[tuple[int, Term]]] = {target: [] for target in graph.group.incoming}
    for state in sorted({*states, *arrived}):
        if state in arrived:
            places = [place for place, _ in arrived[state]]
            terms = [term for _, term in arrived.pop(state)]
            if not terms:
                total = graph.empty(states, state)
            else:
                mixture = None if used is None else torch.stack([used[place] for place in places])
                total, seen = mixed_sum(terms, None if mixture is None else mixture.to(terms[0].z.dtype))
                statistics += seen
            states[state] = graph.completed(state, total, states)
        mine = [(flow, declaration(flow.operation)) for flow in graph.flows if edges[flow.edge].source == state]
        if mine:
            source = SharedParts(graph.taken(states[state]), [declared for _, declared in mine], statistics)
            for flow, declared in mine:
                arrived[edges[flow.edge].target].append((flow.place, source.term(declared)))
    update_running_statistics(statistics)
    return states


class SharedParts:
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
        return strided(step, z)

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
