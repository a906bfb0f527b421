"""LoRA on the convolutions of the candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from archgrad.components import Clock, Context, Modifier
from archgrad.engine import Cell
from archgrad.engine.cell import MakeOperation
from archgrad.errors import ArchgradError, require_positive
from archgrad.genotype import Edge
from archgrad.modifiers.support import candidates
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
    ``[channels·k, channels·k]`` matrices, of which a rank has k times the parameters.
    """

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
        for owner, name in candidates(supernet):
            owner[name] = self.adapted(owner[name], known)
        if not known:
            raise ArchgradError("LowRank: no candidate of this network has an nn.Conv2d that is trained")
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


class LowRankConv(nn.Conv2d):
    """A convolution with the kernel W + scale·(up·down); ``low``: the last two are trained, and not W."""

    def __init__(self, conv: nn.Conv2d, rank: int, alpha: float, dropout: float):
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            conv.bias is not None,
            conv.padding_mode,
            device="meta",  # nothing is drawn for a weight that is replaced at once
        )
        self.weight, self.bias = conv.weight, conv.bias
        self.scale, self.dropout, self.low = alpha / rank, dropout, False
        rows, columns = conv.weight.flatten(1).shape
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(conv.weight.new_empty(rank, columns))
        self.up = nn.Parameter(conv.weight.new_empty(rows, rank))
        self._reset_adapter()
        self.train(conv.training)

    def reset_parameters(self) -> None:
        """Start afresh as a dense convolution."""
        super().reset_parameters()
        if hasattr(self, "down"):
            self._reset_adapter()
            for parameter in (self.weight, self.down, self.up):
                parameter.requires_grad_()
            self.switch(False)

    def _reset_adapter(self) -> None:
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        nn.init.zeros_(self.up)

    def switch(self, low: bool) -> None:
        """Let rest what is not trained now; what is trained was set before, and may rest for another reason."""
        self.low = low
        for parameter in (self.weight,) if low else (self.down, self.up):
            parameter.requires_grad_(False)

    @property
    def change(self) -> Float[Tensor, "out reads height width"]:
        """What the adapter adds to the kernel."""
        return self.scale * (self.up @ self.down).view(self.weight.shape)

    def through(self, x: Tensor, convolve: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """What ``convolve(input, kernel)``, linear in both, makes of this convolution's kernel."""
        if self.low and self.training and self.dropout > 0:
            return convolve(x, self.weight) + convolve(F.dropout(x, self.dropout), self.change)
        return convolve(x, self.weight + self.change)

    def forward(self, x: Tensor) -> Tensor:
        y = self.through(x, lambda x, kernel: self._conv_forward(x, kernel, None))
        return y if self.bias is None else y + self.bias[:, None, None]

    def settled(self) -> nn.Conv2d:
        """The plain convolution that computes the same."""
        conv = nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,  # type: ignore[arg-type]
            self.stride,  # type: ignore[arg-type]
            self.padding,  # type: ignore[arg-type]
            self.dilation,  # type: ignore[arg-type]
            self.groups,
            self.bias is not None,
            self.padding_mode,
            device="meta",
        )
        conv.weight, conv.bias = nn.Parameter((self.weight + self.change).detach().clone()), self.bias
        return conv.train(self.training)


@dataclass(frozen=True)
class _Adapting:
    """Makes candidates with adapters, for cells that are built anew."""

    make: MakeOperation
    modifier: LowRank

    def __call__(self, name: str, edge: Edge, stride: int, channels: int) -> nn.Module:
        return self.modifier.adapted(self.make(name, edge, stride, channels), {})
