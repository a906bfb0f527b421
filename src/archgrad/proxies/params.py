"""The number of parameters: the first baseline of every proxy."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.proxies.proxy import Measurement, Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class Parameters(Proxy):
    """The number of parameters. Looks at no images. Those that modules share count once, but in the layers for each.

    >>> import torch
    >>> from torch import nn
    >>> Parameters()(nn.Linear(2, 3), (torch.ones(1, 2), torch.tensor([0])))
    9.0
    """

    def examine(self, specimen: Specimen) -> Measurement:
        """The number, and that of every module that has parameters of its own."""
        network = specimen.network if specimen.genotype else specimen.original  # as it is, weight_norm and all
        layers = {
            name: float(sum(parameter.numel() for parameter in own))
            for name, module in network.named_modules()
            if (own := list(module.parameters(recurse=False)))
        }
        return Measurement(float(sum(p.numel() for p in network.parameters())), layers)
