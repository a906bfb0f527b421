"""SNIP: what the loss would lose without a connection."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class SNIP(Proxy):
    """Σ |w · ∂L/∂w| over the weights w of convolutions and linear layers, L the loss of the batch.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(SNIP()(network, batch), 4)  # two entries of the gradient are not 0, and one of them meets a weight of 1
    0.2689

    *Source:* Lee et al., SNIP, arXiv 1810.02340; as a proxy: arXiv 2101.08134.
    """

    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The sum over the weights of every layer."""
        return {layer: (weight * gradient).abs().sum() for layer, (weight, gradient) in specimen.gradients.items()}
