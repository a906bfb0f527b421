"""The number of multiply-accumulates: the second baseline of every proxy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.proxies.layers import Layer, logits, outputs, weighted
from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class FLOPs(Proxy):
    """Multiply-accumulates of convolutions and linear layers for one image, as `archgrad.operations.cost` counts."""

    @torch.no_grad()
    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers."""
        layers = weighted(network)
        with outputs(dict(layers)) as found:
            logits(network.eval(), images[:1])
        counts = {name: _count(layer, found[name]) if name in found else 0.0 for name, layer in layers.items()}
        return Measurement(sum(counts.values()), counts)


def _count(layer: Layer, output: Tensor) -> float:
    per_output = layer.weight[0].numel()
    if isinstance(layer, nn.Linear):
        per_output += layer.bias is not None
    elif layer.transposed:
        per_output = layer.weight.numel() // layer.out_channels
    return float(output[0].numel() * per_output)
