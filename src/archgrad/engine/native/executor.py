"""The executor of native code: whole cells in two calls of kernels that are compiled on the spot."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from archgrad.engine.graph import Flow, Graph
from archgrad.engine.loop import loop
from archgrad.engine.native.cell import compute
from archgrad.engine.native.layout import FlowKey, MismatchError, Request, Size
from archgrad.engine.native.library import available
from archgrad.engine.native.plan import plan_for
from archgrad.engine.native.recipe import Recipe, recipe_of
from archgrad.errors import ArchgradWarning


def native(
    graph: Graph, inputs: Sequence[Tensor], known: Mapping[int, Recipe] | None = None, again: bool = False
) -> dict[int, Tensor]:
    """Every state of the cell; what the kernels do not know is computed by torch and added to what they compute.

    They know float32 on a CPU: in anything else, and without a compiler, ``loop`` computes. ``known``: `known_of` the
    graph, where somebody has it already. ``again``: keep states only, and compute in backward once more what the
    kernels return.
    """
    if not fits(inputs) or not _there():
        return loop(graph, inputs)
    known = known_of(graph) if known is None else known
    states = dict(enumerate(inputs))
    try:
        for targets in _parts(graph, known):
            _Part(graph, known, targets, states).run(again)
    except MismatchError:
        return loop(graph, inputs)
    return states


def known_of(graph: Graph) -> dict[int, Recipe]:
    """The flows that the kernels can compute, by number."""
    return {number: recipe for number, flow in enumerate(graph.flows) if (recipe := recipe_of(flow.operation))}


def recomputes(graph: Graph, inputs: Sequence[Tensor], known: Mapping[int, Recipe]) -> bool:
    """Whether ``again`` leaves little of a cell in memory: all of it is computed by the kernels."""
    return len(known) == len(graph.flows) and fits(inputs) and available() is None


def fits(inputs: Sequence[Tensor]) -> bool:
    """Whether the kernels can read these maps."""
    if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return False
    return all(_readable(x) and x.dim() == 4 and x.numel() for x in inputs)


def _readable(x: Tensor) -> bool:
    """Whether there is memory of float32 behind a tensor; behind those of tracers there is none."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and type(x) in (Tensor, nn.Parameter)


@cache
def _there() -> bool:
    if reason := available():
        warnings.warn(f"{reason}; the executor 'loop' computes instead", ArchgradWarning, stacklevel=2)
    return reason is None


def _parts(graph: Graph, known: Mapping[int, Recipe]) -> list[list[int]]:
    """The targets that can be computed in one go: torch sees a state only when the part that computes it is over."""
    parts: list[list[int]] = []
    for target in graph.group.incoming:
        foreign = {_source(graph, flow) for number, flow in enumerate(graph.flows) if number not in known
                   and graph.group.edges[flow.edge].target == target}  # fmt: skip
        if not parts or graph.share > 1 or foreign & set(parts[-1]):
            parts.append([])
        parts[-1].append(target)
    return parts


def _source(graph: Graph, flow: Flow) -> int:
    return graph.group.edges[flow.edge].source


def _size(x: Tensor) -> Size:
    channels, height, width = x.shape[1:]
    return channels, height, width


class _Part:
    """Some targets of a graph, computed from states that are there."""

    def __init__(self, graph: Graph, known: Mapping[int, Recipe], targets: list[int], states: dict[int, Tensor]):
        self.graph, self.known, self.targets, self.states = graph, known, targets, states
        edges = graph.group.edges
        self.mine = [number for number, flow in enumerate(graph.flows) if edges[flow.edge].target in set(targets)]
        self.numbers = [number for number in self.mine if number in known]

    def run(self, again: bool) -> None:
        """Complete ``states`` by the targets."""
        graph = self.graph
        external, factors = self._outside()
        if not self.numbers:
            for target in self.targets:
                total = external[target] if target in external else graph.empty(self.states, target)
                self.states[target] = graph.completed(target, total, self.states)
            return
        given = {
            state: graph.taken(self.states[state]).contiguous(memory_format=torch.channels_last)
            for state in self._given()
        }
        plan = plan_for(self._request(given, external))
        mixture = None if graph.weights is None else graph.weights.to(torch.float32).contiguous()
        norms = [norm for number in self.numbers for norm in self.known[number].norms]
        if not all(_readable(t) for norm in norms for t in (norm.weight, norm.running_mean) if t is not None):
            raise MismatchError
        maps = list(given.values()), list(external.values())
        found = compute(plan, mixture, *maps, self._weights(), norms, factors, again)
        for target, state in zip(self.targets, found, strict=True):
            self.states[target] = graph.completed(target, state, self.states)

    def _given(self) -> list[int]:
        """The states that are read, sizes of empty sums included."""
        edges = self.graph.group.edges
        read = {_source(self.graph, self.graph.flows[number]) for number in self.numbers}
        read |= {edges[self.graph.group.incoming[target][0]].source for target in self.targets}
        return sorted(read - set(self.targets))

    def _outside(self) -> tuple[dict[int, Tensor], Tensor | None]:
        """What torch adds to the targets, and what drop-path multiplies images by, a row per flow that has one.

        Both in the order of the flows, in which random numbers are drawn; no rows while no path is dropped.
        """
        graph, found = self.graph, dict[int, Tensor]()
        ones = torch.ones(self.states[0].shape[0], 1, 1, 1)
        factors = []
        for number in self.mine:
            flow = graph.flows[number]
            if number in self.known:
                if (drop := self.known[number].drop) is not None:
                    factors.append(drop(ones))
                continue
            target = graph.group.edges[flow.edge].target
            term = flow.operation(graph.taken(self.states[_source(graph, flow)]))
            term = term if graph.weights is None else term * graph.weights[flow.place]
            found[target] = found[target] + term if target in found else term
        found = {
            target: found[target].contiguous(memory_format=torch.channels_last)
            for target in self.targets
            if target in found
        }
        dropped = any(factor is not ones for factor in factors)
        return found, torch.stack(factors).flatten(1) if dropped else None

    def _request(self, given: Mapping[int, Tensor], external: Mapping[int, Tensor]) -> Request:
        graph, edges = self.graph, self.graph.group.edges
        targets = []
        for target in self.targets:
            first = graph.group.incoming[target][0]
            targets.append((target, edges[first].source, graph.strides[first]))
        flows = []
        for number in self.numbers:
            flow = graph.flows[number]
            place = -1 if graph.weights is None else flow.place
            edge = edges[flow.edge]
            flows.append(FlowKey(edge.source, edge.target, place, self.known[number].shape))
        return Request(
            len(next(iter(given.values()))),
            tuple((state, _size(x)) for state, x in given.items()),
            tuple(targets),
            tuple(flows),
            tuple((target, _size(x)) for target, x in external.items()),
        )

    def _weights(self) -> list[Tensor]:
        graph, found = self.graph, list[Tensor]()
        for number in self.numbers:
            for weight in self.known[number].weights(graph.flows[number].operation):
                if not _readable(weight):
                    raise MismatchError
                if not (weight.is_contiguous() or weight.is_contiguous(memory_format=torch.channels_last)):
                    weight = weight.contiguous()
                found.append(weight)
        return found
