"""Fisher information of the channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.proxies.layers import cross_entropy, logits, numbers, outputs, weighted
from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class Fisher(Proxy):
    """Σ_c ½ mean_n (Σ_pixels a_nc ∂CE/∂a_nc)² over the channels c of the outputs a of convolutions and linear layers.

    *Source:* Turner et al., BlockSwap, arXiv 1906.04113; as a proxy: arXiv 2101.08134.
    """

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers."""
        layers = weighted(network)
        with outputs(dict(layers)) as activations:
            loss = cross_entropy(logits(network, images), labels)
        gradient = derivatives(loss, list(activations.values()))
        channel = {name: 1 if isinstance(layer, nn.modules.conv._ConvNd) else -1 for name, layer in layers.items()}
        values = []
        for (name, activation), g in zip(activations.items(), gradient, strict=True):
            axis = channel[name] % activation.ndim
            pixels = [d for d in range(1, activation.ndim) if d != axis]
            product = activation.detach() * g
            values.append(0.5 * (product.sum(pixels) if pixels else product).pow(2).mean(0).sum())
        found = {**dict.fromkeys(layers, 0.0), **dict(zip(activations, numbers(values), strict=True))}
        return Measurement(sum(found.values()), found)
