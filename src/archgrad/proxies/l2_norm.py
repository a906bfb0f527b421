"""The norms of the weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from archgrad.proxies.layers import numbers, weighted
from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class L2Norm(Proxy):
    """Σ_m ‖w_m‖₂ over convolutions and linear layers m: a measure of size. Needs no images.

    *Source:* Abdelfattah et al., arXiv 2101.08134.
    """

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers."""
        layers = weighted(network)
        found = dict(zip(layers, numbers([layer.weight.norm() for layer in layers.values()]), strict=True))
        return Measurement(sum(found.values()), found)
