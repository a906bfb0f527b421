"""Fisher information of the channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.proxies.layers import outputs
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class Fisher(Proxy):
    """Σ_c ½ mean_n (Σ_pixels a_nc ∂L/∂a_nc)² over the channels c of the outputs a of convolutions and linear layers.

    n are the images and L is the loss of the batch. ``per_weight``: every channel counts once for each of its weights,
    as in the programs from which published values come.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(Fisher()(network, batch), 4)  # ½ · 0.2689²
    0.0362

    *Source:* Turner et al., BlockSwap, arXiv 1906.04113; as a proxy: arXiv 2101.08134.
    *Differs:* the common programs are those of ``per_weight=True``: they hand the channel's value to each weight, as
    pruning needs it, and add up.
    """

    per_weight: bool = False

    def examine(self, specimen: Specimen) -> dict[str, Tensor | float]:
        """The sum over the channels of every layer; one that was not called contributes nothing."""
        layers = specimen.layers
        with outputs(layers) as activations:
            loss = specimen.loss()
        gradients = derivatives(loss, list(activations.values()))
        found: dict[str, Tensor | float] = dict.fromkeys(layers, 0.0)
        for (name, activation), gradient in zip(activations.items(), gradients, strict=True):
            channel = activation.ndim - 1 if isinstance(layers[name], nn.Linear) else 1
            pixels = [axis for axis in range(1, activation.ndim) if axis != channel]
            product = activation.detach() * gradient
            value = 0.5 * (product.sum(pixels) if pixels else product).pow(2).mean(0).sum()
            found[name] = value * layers[name].weight[0].numel() if self.per_weight else value
        return found
