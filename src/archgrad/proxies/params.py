"""The number of parameters: the first baseline of every proxy."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class Parameters(Proxy):
    """The number of parameters. Needs no images."""

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over all modules that have parameters of their own."""
        found = {
            name: float(sum(parameter.numel() for parameter in own))
            for name, module in network.named_modules()
            if (own := list(module.parameters(recurse=False)))
        }
        return Measurement(float(sum(p.numel() for p in network.parameters())), found)
