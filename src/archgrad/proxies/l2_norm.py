"""The norms of the weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class L2Norm(Proxy):
    """Σ_m ‖w_m‖₂ over convolutions and linear layers m: a measure of size. Looks at no images.

    All layers that the network has are counted, those of unreached operations too where it was built with them.
    Published tables are of networks that have them (`Scorer` builds such networks with ``unreached=True``).

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(L2Norm()(network, batch), 4)
    1.4142

    *Source:* Abdelfattah et al., arXiv 2101.08134.
    """

    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The norm of every layer's weight."""
        return {name: weight.norm() for name, weight in specimen.weights.items()}
