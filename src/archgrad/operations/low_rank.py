"""A convolution with an adapter of low rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LowRankConv(nn.Conv2d):
    """A convolution with the kernel W + scale·(up·down); ``low``: the last two are trained, and not W."""

    def __init__(self, conv: nn.Conv2d, rank: int, alpha: float, dropout: float):
        super().__init__(**_settings(conv))
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
        conv = nn.Conv2d(**_settings(self))
        conv.weight, conv.bias = nn.Parameter((self.weight + self.change).detach().clone()), self.bias
        return conv.train(self.training)


def _settings(conv: nn.Conv2d) -> dict[str, Any]:
    """The arguments of a convolution like this one; nothing is drawn for its weight, which is replaced at once."""
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    return {**{name: getattr(conv, name) for name in names}, "bias": conv.bias is not None, "device": "meta"}
