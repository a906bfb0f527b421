"""A cell: a directed acyclic graph of states whose edges are open decisions, and what remains once they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from archgrad.choice import Site
from archgrad.engine.checkpoint import recomputed
from archgrad.engine.executor import executor_for
from archgrad.engine.graph import reached
from archgrad.engine.loop import loop, settled_loop
from archgrad.engine.plain import settled_plain
from archgrad.genotype import Edge, Group, Kept

MakeOperation = Callable[[str, Edge, int], nn.Module]
"""(candidate's name, edge, stride) → module."""


class Cell(Site):
    """States 0 … inputs−1 are given; every further state is Σ over its incoming edges of Σ_o w_o · operation_o(source).

    ``strides``: per edge, by how much it shrinks the map. ``outputs``: the states that ``forward`` returns, in order.
    ``make`` builds the candidates. Edges are listed by ascending target and never point backwards.
    ``executor``: how the sum is computed (see `archgrad.engine`); it changes the speed, never the result.
    ``checkpoint``: keep the inputs only and compute everything again in backward.
    """

    def __init__(
        self,
        group: Group,
        inputs: int,
        outputs: Sequence[int],
        strides: Sequence[int],
        make: MakeOperation,
        executor: str = "auto",
        checkpoint: bool = False,
    ):
        super().__init__(group)
        self.inputs = inputs
        self.outputs = tuple(outputs)
        self.strides = tuple(strides)
        self.executor = executor
        self.checkpoint = checkpoint
        self.operations = nn.ModuleList(
            nn.ModuleDict({name: make(name, edge, stride) for name in edge.candidates})
            for edge, stride in zip(group.edges, self.strides, strict=True)
        )

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        executor, row = executor_for(self.executor, inputs[0]), self.row

        def compute(weights: Tensor, *inputs: Tensor) -> list[Tensor]:
            states = executor(self, inputs, row._replace(weights=weights))
            return [states[state] for state in self.outputs]

        return recomputed(self, compute, (row.weights, *inputs)) if self.checkpoint else compute(row.weights, *inputs)

    def settle(self, kept: Kept) -> nn.Module:
        """The kept operations without those that do not reach an output."""
        terms = [
            (number, self.operations.get_submodule(f"{number}.{name}"))
            for number, name in reached(self.group, kept, self.inputs, self.outputs)
        ]
        return SettledCell(self.group, self.inputs, self.outputs, self.strides, terms)


class SettledCell(nn.Module):
    """A cell whose decisions are made: ``terms`` are the (edge, operation) pairs that stay."""

    def __init__(
        self,
        group: Group,
        inputs: int,
        outputs: Sequence[int],
        strides: Sequence[int],
        terms: Sequence[tuple[int, nn.Module]],
    ):
        super().__init__()
        self.group = group
        self.inputs = inputs
        self.outputs = tuple(outputs)
        self.strides = tuple(strides)
        self.places = tuple(number for number, _ in terms)
        self.operations = nn.ModuleList(operation for _, operation in terms)

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        compute = settled_loop if executor_for("auto", inputs[0]) is loop else settled_plain
        states = compute(self, inputs)
        return [states[state] for state in self.outputs]
