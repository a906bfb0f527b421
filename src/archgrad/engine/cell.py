"""A cell: a directed acyclic graph of states whose edges are open decisions, and what remains once they are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad import operations
from archgrad.choice import Row, Site
from archgrad.devices import placed
from archgrad.engine.executor import compute, executor_for
from archgrad.engine.graph import Flow, Graph, computed, reached
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Group, Kept

MakeOperation = Callable[[str, Edge, int, int], nn.Module]
"""(candidate's name, edge, stride, channels) → module."""


@dataclass(frozen=True)
class Standard:
    """Makes the operations of `archgrad.operations` by their names."""

    affine: bool = False
    track: bool = True
    pool_norm: bool = False

    def __call__(self, name: str, edge: Edge, stride: int, channels: int) -> nn.Module:
        return operations.build(name, operations.Spec(channels, stride, self.affine, self.track, self.pool_norm))


class Rule(nn.Module, ABC):
    """A modifier's own way to compute some of a cell's operations, with the weights and modules this takes."""

    @abstractmethod
    def forward(self, cell: Cell, row: Row, flows: list[Flow], weights: Tensor) -> tuple[list[Flow], Tensor]:
        """The flows of a pass and the weights that their places point to, as the modifier wants them."""


class Cell(Site):
    """States 0 … inputs−1 are given; every further state is Σ over its incoming edges of Σ_o w_o · operation_o(source).

    ``strides``: per edge, by how much it shrinks the map. ``outputs``: the states that ``forward`` returns, in order.
    ``make`` builds the candidates for maps of ``channels``. Edges are listed by ascending target and never point
    backwards.
    ``executor``: how the sum is computed (see `archgrad.engine`); it changes the speed, never the result.
    ``checkpoint``: keep little for backward and compute it again there (see `compute`).

    Modifiers change cells by `narrow`, `beside` and by adding to ``rules``.
    """

    def __init__(
        self,
        group: Group,
        inputs: int,
        outputs: Sequence[int],
        strides: Sequence[int],
        channels: int,
        make: MakeOperation,
        executor: str = "auto",
        checkpoint: bool = False,
    ):
        super().__init__(group)
        self.inputs = inputs
        self.outputs = tuple(outputs)
        self.strides = tuple(strides)
        self.channels = channels
        self.make = make
        self.executor = executor
        self.checkpoint = checkpoint
        self.share = 1
        self.random_channels = False
        self.extras: dict[str, tuple[str, bool]] = {}
        """What is computed beside the candidates of every edge: name → (operation, whether it stays once settled)."""
        self.rules = nn.ModuleList()
        self.operations = nn.ModuleList()
        self._build()

    def _build(self) -> None:
        width, beside = self.channels // self.share, {name: what for name, (what, _) in self.extras.items()}
        self.operations = nn.ModuleList(
            nn.ModuleDict(
                {
                    name: self.make(what, edge, stride, width)
                    for name, what in ({n: n for n in edge.candidates} | beside).items()
                }
            )
            for edge, stride in zip(self.group.edges, self.strides, strict=True)
        )

    def narrow(self, share: int, random: bool = False) -> None:
        """Let operations, built anew, see one in ``share`` channels, rounded down: the first, or ``random`` ones."""
        if not 1 <= share <= self.channels:
            raise ArchgradError(
                f"choice {self.group.name!r}: operations cannot see one in {share} channels "
                f"where there are {self.channels}: take more channels"
            )
        self.share, self.random_channels = share, random
        self._build()

    def widen(self) -> None:
        if self.share > 1:
            self.narrow(1)

    def beside(self, name: str, operation: str, stays: bool = False) -> None:
        """Compute an operation beside the candidates of every edge; its weight is ``mixture.extras[name]``, or 1."""
        if name in self.extras:
            raise ArchgradError(f"choice {self.group.name!r}: there is already {name!r} beside its candidates")
        self.extras[name] = (operation, stays)
        for edge, stride, candidates in zip(self.group.edges, self.strides, self.operations, strict=True):
            candidates[name] = self.make(operation, edge, stride, self.channels // self.share)  # type: ignore[operator]

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        checkpointed = self if self.checkpoint else None
        states = compute(
            executor_for(self.executor, inputs[0]), self._graph(self.row), inputs, checkpointed=checkpointed
        )
        return [states[state] for state in self.outputs]

    def _graph(self, row: Row) -> Graph:
        weights, active = row.weights, row.active
        for name in self.extras:
            beside = row.extras.get(name, weights.new_ones(())).expand(len(weights), 1)
            weights = torch.cat([weights, beside], 1)
            active = None if active is None else [[*places, True] for places in active]
        if row.edges is not None:
            weights = weights * row.edges
        columns = [*self.group.operations, *self.extras]
        flows, flat = computed(self.group, self.operations, columns, active), weights.flatten()
        for rule in self.rules:
            flows, flat = rule(self, row, flows, flat)
        edges = None if row.edges is None else row.edges.flatten()
        order = None
        if self.random_channels and self.training:
            order = placed(torch.randperm(self.channels), weights.device)
        return Graph(self.group, self.strides, flows, flat, self.share, order, edges, row.added)

    def settle(self, kept: Kept) -> nn.Module:
        """The kept operations without those that do not reach an output."""
        stay = [name for name, (_, stays) in self.extras.items() if stays]
        pairs = reached(self.group, kept, self.inputs, self.outputs)
        pairs += [(number, name) for number in dict.fromkeys(n for n, _ in pairs) for name in stay]
        terms = [(number, self.operations.get_submodule(f"{number}.{name}")) for number, name in sorted(pairs)]
        return SettledCell(self.group, self.inputs, self.outputs, self.strides, terms, self.share)


class SettledCell(nn.Module):
    """A cell whose decisions are made: ``terms`` are the (edge, operation) pairs that stay."""

    def __init__(
        self,
        group: Group,
        inputs: int,
        outputs: Sequence[int],
        strides: Sequence[int],
        terms: Sequence[tuple[int, nn.Module]],
        share: int = 1,
    ):
        super().__init__()
        self.group = group
        self.inputs = inputs
        self.outputs = tuple(outputs)
        self.strides = tuple(strides)
        self.share = share
        self.places = tuple(number for number, _ in terms)
        self.operations = nn.ModuleList(operation for _, operation in terms)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        flows = [Flow(edge, 0, operation) for edge, operation in zip(self.places, self.operations, strict=True)]
        graph = Graph(self.group, self.strides, flows, share=self.share)
        states = compute(executor_for("auto", inputs[0]), graph, inputs, settled=True)
        return [states[state] for state in self.outputs]
