"""A mixture that depends on the input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.anneal import Anneal, value_at
from archgrad.choice import Row
from archgrad.context import Alphas, Context
from archgrad.engine.candidates import cells
from archgrad.engine.cell import Cell, Rule
from archgrad.engine.graph import Flow
from archgrad.mixture import Mixture
from archgrad.roles import Modifier
from archgrad.supernet import Supernet

NAME = "operation_attention"


@dataclass(frozen=True)
class OperationAttention(Modifier):
    """Every candidate counts w_o + c(t)·a_o(x): a gate on each edge looks at the image, and fades out.

    a(x) = tanh(G·mean(x) + b), the mean over the map of what the edge's candidates read; the gates are weights of the
    network, one per edge of every cell, and start at 0, so that training starts from the mixture without them. Only
    candidates that are computed anyway are weighed, so that masks, and relaxations that sample, keep their meaning.
    Settled networks, and one-hot mixtures, have no gates. ``weight``: c; at 0 nothing is changed.

    A gate has one column per channel that candidates read when it is built. Should a cell be narrowed or widened
    afterwards, it looks at those of its channels that are there.

    Beside `WeightEntanglement` a family counts s + c·Σ_o a_o(x), with kernels mixed by w alone.

    *Source:* "dynamic exploration" of the library confopt: weight 1e-4^(epoch/epochs).
    *Differs:* there two layers with a bottleneck end in a softmax, whose mean over the batch is added, so that the
    weights of an edge sum to 1 + c from the start; partial channels beside it were a shape error.
    """

    needs = "cells (archgrad.engine.Cell)"

    weight: float | Anneal = Anneal(1.0, 1e-4, "exponential", over="length")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        for cell in cells(self, supernet.network):
            cell.rules.append(Gates(len(cell.group.edges), cell.channels // cell.share, len(cell.group.operations)))

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        weight = value_at(self.weight, context.clock)
        if weight == 0:
            return mixture
        # A mask may have been expressed by a weight of 0 alone, to which a gate would add.
        masks = {group: mask for group in mixture if (mask := context.candidates(group)) is not None}
        closed = {group: mask for group, mask in masks.items() if not bool(mask.all())}
        like = next(iter(mixture.values()))
        return mixture.restricted(closed).with_extras({NAME: like.new_full((), weight)})


class Gates(Rule):
    """The gates of a cell's edges."""

    def __init__(self, edges: int, width: int, operations: int):
        super().__init__()
        self.gates = nn.ModuleList(Gate(width, operations) for _ in range(edges))

    def forward(self, cell: Cell, row: Row, flows: list[Flow], weights: Tensor) -> tuple[list[Flow], Tensor]:
        fading = row.extras.get(NAME)
        if fading is None:
            return flows, weights
        columns = len(cell.group.operations) + len(cell.extras)
        looks = [Look(gate) for gate in self.gates]
        attended = []
        for flow in flows:
            column = flow.place % columns
            mine: Sequence[int] = flow.members or ([column] if column < len(cell.group.operations) else [])
            if mine:
                factor = fading if row.edges is None else fading * row.edges[flow.edge, 0]
                operation = Attended(flow.operation, weights[flow.place], factor, looks[flow.edge], mine)
                flow = Flow(flow.edge, len(weights), operation)
            attended.append(flow)
        return attended, torch.cat([weights, weights.new_ones(1)])


class Gate(nn.Linear):
    """From the channels of a state to a number per candidate."""

    def reset_parameters(self) -> None:
        """Start at 0."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The numbers of every image, ``[images, candidates]``."""
        width = min(x.shape[1], self.in_features)
        means = x[:, :width].flatten(2).mean(2) if x.dim() > 2 else x[:, :width]
        return nn.functional.linear(means, self.weight[:, :width], self.bias).tanh()


class Look:
    """What a gate says of the state that it looks at, computed once per pass."""

    def __init__(self, gate: nn.Module):
        self.gate = gate
        self.seen: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self.seen is None:
            self.seen = self.gate(x)
        return self.seen


class Attended(nn.Module):
    """An operation times w + c·a(x), for one pass."""

    def __init__(self, operation: nn.Module, weight: Tensor, factor: Tensor, look: Look, members: Sequence[int]):
        super().__init__()
        self.operation = operation
        self.weight = weight
        self.factor = factor
        self.look = look
        self.members = members

    def forward(self, x: Tensor) -> Tensor:
        word = self.look(x)
        said = sum((word[:, column] for column in self.members[1:]), word[:, self.members[0]])
        y: Tensor = self.operation(x)
        return y * (self.weight + self.factor * said).to(y.dtype).view(-1, *[1] * (y.dim() - 1))
