"""SynFlow: how much of the input's sum flows through the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.proxies.layers import absolute, by_layer, logits, remove_norm, weighted
from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class SynFlow(Proxy):
    """Σ θ ∂R/∂θ over the weights of convolutions and linear layers, R = Σ f_{|θ|}(1) without BN.

    Every layer that all of the flow passes contributes R, up to biases. In double precision. Needs no images.

    *Source:* Tanaka et al., Pruning neural networks without any data, arXiv 2006.05467; as a proxy: Abdelfattah et al.,
    Zero-Cost Proxies for Lightweight NAS, arXiv 2101.08134 (without BN, as here).
    """

    dtype: ClassVar[torch.dtype | None] = torch.float64

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers."""
        remove_norm(network)
        absolute(network)
        layers = weighted(network)
        flow = logits(network, torch.ones_like(images[:1])).sum()
        gradient = derivatives(flow, [layer.weight for layer in layers.values()])
        found = by_layer(layers, gradient, lambda w, g: (w * g).abs().sum())
        return Measurement(sum(found.values()), found)
