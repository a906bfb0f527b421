"""SynFlow: how much of the input's sum flows through the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from archgrad.proxies.layers import absolute, remove_norm
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.published import add_biases
from archgrad.proxies.specimen import Specimen
from archgrad.spaces.nasbench201 import Residual


@dataclass(frozen=True)
class SynFlow(Proxy):
    """Σ θ ∂R/∂θ over the weights θ of convolutions and linear layers, R = Σ f_{|θ|}(1) without BN.

    Every layer that all of the flow passes contributes R, up to biases. In double precision. Of the batch only the
    shape of an image matters.

    The program from which most published SynFlow scores of NAS-Bench-201 come differs twice, and is followed by these
    options: ``keep_residual_norm`` leaves BN in the two blocks between its stages, ``biases`` gives the convolutions of
    its cells biases, drawn from ``seed``, where they have none.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False))
    >>> for layer in network:
    ...     _ = nn.init.constant_(layer.weight, -0.5)
    >>> SynFlow()(network, (torch.rand(1, 2), torch.tensor([0])))  # two layers of R = 2 · 3 · 2 / 4
    6.0

    *Source:* Tanaka et al., Pruning neural networks without any data, arXiv 2006.05467; as a proxy: Abdelfattah et al.,
    Zero-Cost Proxies for Lightweight NAS, arXiv 2101.08134. *Differs:* see the options; NASLib removes every BN and has
    no biases, as here.
    """

    keep_residual_norm: bool = False
    biases: bool = False
    seed: int = 0

    dtype: ClassVar[torch.dtype | None] = torch.float64

    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The sum over the weights of every layer."""
        remove_norm(specimen.network, keep=(Residual,) if self.keep_residual_norm else ())
        if self.biases:
            add_biases(specimen.network, self.seed)
        absolute(specimen.network)
        flow = specimen.logits(torch.ones_like(specimen.pixels[:1])).sum()
        return {layer: (weight * by).abs().sum() for layer, (weight, by) in specimen.derivatives(flow).items()}
