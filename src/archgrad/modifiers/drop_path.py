"""Drop-path in the supernet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.anneal import Anneal, ends, value_at
from archgrad.choice import Choice, Row
from archgrad.context import Context
from archgrad.engine.cell import Cell, Rule
from archgrad.engine.graph import Flow
from archgrad.errors import ArchgradError
from archgrad.operations import DropPath as Drop
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class DropPath(Modifier):
    """Every edge of every cell is dropped, image by image, with a rate that grows over the epochs.

    What all candidates of an edge bring, skip connections included, is 0 for an image with that probability, and is
    divided by 1 − rate otherwise; in training mode only. What passes operations by (`PartialChannels`) is not dropped.
    In a `Choice` outside of cells, where a dropped edge would leave nothing, every candidate that is not an identity is
    dropped by itself. Settled networks have none of this.

    *Source:* R-DARTS, arXiv 1909.09656, section 5.1, and its published program: linear from 0 to 0.2 (S1, CIFAR-10; 0.0
    to 0.8 were tried).
    """

    rate: float | Anneal = Anneal(0.0, 0.2)

    def __post_init__(self) -> None:
        if not all(0 <= rate < 1 for rate in ends(self.rate)):
            raise ArchgradError(f"DropPath: the rate must be in [0, 1), got {self.rate!r}")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        for module in list(supernet.network.modules()):
            if isinstance(module, Cell):
                module.rules.append(_Edges(len(module.group.edges)))
            elif isinstance(module, Choice):
                for name, candidate in module.candidates.items():
                    if not isinstance(candidate, nn.Identity):
                        module.candidates[name] = nn.Sequential(candidate, _Drop())

    def epoch_start(self, supernet: Supernet, context: Context) -> None:
        rate = value_at(self.rate, context.clock)
        for module in supernet.network.modules():
            if isinstance(module, _Drop | _Edges):
                module.rate = rate


class _Drop(Drop):
    """A class of its own, so that drop-path of a user's network keeps its own rate."""


class _Edges(Rule):
    """Drops the edges of a cell; every pass has its own draws."""

    def __init__(self, edges: int):
        super().__init__()
        self.edges = edges
        self.rate = 0.0

    def forward(self, cell: Cell, row: Row, flows: list[Flow], weights: Tensor) -> tuple[list[Flow], Tensor]:
        if not self.training or self.rate == 0:
            return flows, weights
        masks = _Masks(self.edges, self.rate)
        return [flow._replace(operation=_Dropped(flow.operation, masks, flow.edge)) for flow in flows], weights


class _Masks:
    """0 or 1/(1 − rate) for every edge and image; drawn at once, whichever edge is computed first."""

    def __init__(self, edges: int, rate: float):
        self.edges = edges
        self.keep = 1 - rate
        self.drawn: Tensor | None = None

    def __call__(self, edge: int, x: Tensor) -> Tensor:
        if self.drawn is None:
            self.drawn = (torch.rand(self.edges, len(x), device=x.device) < self.keep) / self.keep
        return self.drawn[edge].to(x.dtype).view(-1, *[1] * (x.dim() - 1))


class _Dropped(nn.Module):
    """An operation on a dropped edge, for one pass."""

    def __init__(self, operation: nn.Module, masks: _Masks, edge: int):
        super().__init__()
        self.operation = operation
        self.masks = masks
        self.edge = edge

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.operation(x)
        return y * self.masks(self.edge, y)
