"""The number of multiply-accumulates: the second baseline of every proxy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.proxies.layers import Layer, logits, weighted
from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class FLOPs(Proxy):
    """Multiply-accumulates of convolutions and linear layers for one image, as `archgrad.operations.cost` counts."""

    @torch.no_grad()
    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers; one that is called twice counts twice."""
        counts = dict.fromkeys(layers := weighted(network), 0.0)

        def watch(name: str, layer: Layer) -> torch.utils.hooks.RemovableHandle:
            def hook(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
                counts[name] += multiply_accumulates(layer, inputs[0], output)

            return layer.register_forward_hook(hook)

        for name, layer in layers.items():
            watch(name, layer)
        logits(network.eval(), images[:1])
        return Measurement(sum(counts.values()), counts)


def multiply_accumulates(layer: Layer, read: Tensor, written: Tensor) -> float:
    """Of one call with one image; the bias of a linear layer counts one each."""
    if isinstance(layer, nn.Linear):
        return float(written.numel() * (layer.in_features + (layer.bias is not None)))
    # A weight meets every output pixel, in a transposed convolution every input pixel.
    pixels = read[0, 0].numel() if layer.transposed else written[0, 0].numel()
    return float(layer.weight.numel() * pixels)
