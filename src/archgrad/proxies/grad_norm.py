"""Gradient norm."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class GradNorm(Proxy):
    """Σ_m ‖∂L/∂w_m‖₂ over convolutions and linear layers m, L the loss of the batch.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(GradNorm()(network, batch), 4)  # two entries of 0.2689
    0.3803

    *Source:* Abdelfattah et al., arXiv 2101.08134.
    """

    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The norm of every layer's gradient."""
        return {layer: gradient.norm() for layer, (_, gradient) in specimen.gradients.items()}
