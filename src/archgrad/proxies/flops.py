"""The number of multiply-accumulates: the second baseline of every proxy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.proxies.layers import Layer, watched
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class FLOPs(Proxy):
    """Multiply-accumulates of convolutions and linear layers for one image, as `archgrad.operations.cost` counts.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 8 * 8, 2, bias=False))
    >>> FLOPs()(network, (torch.ones(1, 3, 8, 8), torch.tensor([0])))  # 3 · 4 · 64 + 256 · 2
    1280.0
    """

    @torch.no_grad()
    def examine(self, specimen: Specimen) -> dict[str, float]:
        """The number of every layer; one that is called twice counts twice."""
        layers = specimen.layers
        counts = dict.fromkeys(layers, 0.0)

        def count(name: str, read: Tensor, written: Tensor) -> None:
            counts[name] += multiply_accumulates(layers[name], read, written)

        specimen.network.eval()
        with watched(layers, count):
            specimen.logits(specimen.images[:1])
        return counts


def multiply_accumulates(layer: Layer, read: Tensor, written: Tensor) -> float:
    """Of one call with one image; the bias of a linear layer counts one each."""
    if isinstance(layer, nn.Linear):
        return float(written.numel() * (layer.in_features + (layer.bias is not None)))
    # A weight meets every output pixel, in a transposed convolution every input pixel.
    pixels = read[0, 0].numel() if layer.transposed else written[0, 0].numel()
    return float(layer.weight.numel() * pixels)
