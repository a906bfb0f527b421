"""LoRA on the convolutions of the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from archgrad.context import Clock, Context
from archgrad.engine import Cell
from archgrad.engine.candidates import candidates, lacking
from archgrad.engine.cell import MakeOperation
from archgrad.errors import ArchgradError, require_positive
from archgrad.genotype import Edge
from archgrad.operations.low_rank import LowRankConv
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class LowRank(Modifier):
    """Kernels become W + (alpha/rank)·B·A; first W is trained, then W rests and only A and B are.

    Every `nn.Conv2d` in a candidate takes part, whatever its groups: W is read as the matrix [channels out, what one of
    them reads], so that the rows of a depthwise convolution are the kernels of its channels, which then move within the
    span of ``rank`` shared kernels. Where that matrix is smaller than ``rank``, B·A has full rank. A is drawn like a
    kernel, B starts at 0, and with it the network at the dense one. Kernels that the user froze stay as they are.

    ``warm_up``: epochs in which W is trained, None for half of the run. ``toggle``: after the warm-up, A and B, then W,
    then A and B again are trained for that many epochs each, None for A and B to the end. What rests still counts.
    ``dropout``: of what A reads, while A and B are trained. All follows from the clock, so that a resumed run goes on
    exactly.

    A network settled with ``inherit`` has plain convolutions with the sum as their kernel (`LowRankConv.settled`).

    *Source:* LoRA, arXiv 2106.09685, section 4.1.
    *Differs:* one published library kept its dropout without ever applying it, crashed in warm-up, and factorised
    ``[channels·k, channels·k]`` matrices, of which a rank has k times the parameters; for pointwise convolutions that
    is the same.
    """

    needs = "candidates with an nn.Conv2d that is trained"

    rank: int = 4
    alpha: float = 1.0
    dropout: float = 0.0
    warm_up: int | None = None
    toggle: int | None = None

    def __post_init__(self) -> None:
        require_positive("LowRank", rank=self.rank, alpha=self.alpha)
        if self.rank != int(self.rank):
            raise ArchgradError(f"LowRank: rank must be a whole number, got {self.rank}")
        if not 0 <= self.dropout < 1:
            raise ArchgradError(f"LowRank: dropout must be in [0, 1), got {self.dropout}")
        if self.warm_up is not None and self.warm_up < 0:
            raise ArchgradError(f"LowRank: warm_up must be 0 or more epochs, or None, got {self.warm_up}")
        if self.toggle is not None and self.toggle < 1:
            raise ArchgradError(f"LowRank: toggle must be 1 or more epochs, or None, got {self.toggle}")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        known: dict[nn.Module, nn.Module] = {}
        for candidate in candidates(supernet.network):
            candidate.owner[candidate.name] = self.adapted(candidate.module, known)
        if not known:
            raise lacking(self)
        for module in supernet.network.modules():
            if isinstance(module, Cell):
                module.make = _Adapting(module.make, self)

    def adapted(self, module: nn.Module, known: dict[nn.Module, nn.Module]) -> nn.Module:
        """The module with adapters on its convolutions; those that it shares with others are ``known`` already."""
        if type(module) is nn.Conv2d and module.weight.requires_grad:
            if module not in known:
                known[module] = LowRankConv(module, self.rank, self.alpha, self.dropout)
            return known[module]
        for name, child in list(module._modules.items()):
            if child is not None:
                module._modules[name] = self.adapted(child, known)
        return module

    def epoch_start(self, supernet: Supernet, context: Context) -> None:
        low = self.low(context.clock)
        for module in supernet.network.modules():
            if isinstance(module, LowRankConv):
                module.switch(low)

    def low(self, clock: Clock) -> bool:
        """Whether A and B are trained in this epoch."""
        since = clock.epoch - (clock.epochs // 2 if self.warm_up is None else self.warm_up)
        return since >= 0 and (self.toggle is None or since // self.toggle % 2 == 0)


@dataclass(frozen=True)
class _Adapting:
    """Makes candidates with adapters, for cells that are built anew."""

    make: MakeOperation
    modifier: LowRank

    def __call__(self, name: str, edge: Edge, stride: int, channels: int) -> nn.Module:
        return self.modifier.adapted(self.make(name, edge, stride, channels), {})
