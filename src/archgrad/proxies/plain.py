"""Plain: weights times gradients, with their sign."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class SynapticSaliency(Proxy):
    """Σ w · ∂L/∂w over the weights w of convolutions and linear layers, L the loss of the batch: the proxy ``plain``.

    In front of a BN the loss does not depend on the length of a filter, so that such a layer contributes exactly 0.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(SynapticSaliency()(network, batch), 4)
    -0.2689

    *Source:* Abdelfattah et al., arXiv 2101.08134; the name is that of Tanaka et al., arXiv 2006.05467.
    """

    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The sum over the weights of every layer."""
        return {layer: (weight * gradient).sum() for layer, (weight, gradient) in specimen.gradients.items()}
