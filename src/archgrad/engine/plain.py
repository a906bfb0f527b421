"""The reference executor: the loop over edges and operations, as it stands in the formula."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from archgrad.engine.graph import Graph


def plain(graph: Graph, inputs: Sequence[Tensor]) -> dict[int, Tensor]:
    """state_j = Σ_{edges i→j} Σ_o w_{ij,o} · operation_{ij,o}(state_i), one operation at a time."""
    states = dict(enumerate(inputs))
    for target in graph.group.incoming:
        total: Tensor | None = None
        for flow in graph.flows:
            edge = graph.group.edges[flow.edge]
            if edge.target == target:
                term = flow.operation(graph.taken(states[edge.source]))
                term = term if graph.weights is None else term * graph.weights[flow.place]
                total = term if total is None else total + term
        mixed = graph.empty(states, target) if total is None else total
        states[target] = graph.completed(target, mixed, states)
    return states
