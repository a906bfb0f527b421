"""GraSP: what the gradient's length would gain without a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from archgrad.errors import ArchgradError, reason
from archgrad.proxies.proxy import Proxy
from archgrad.proxies.specimen import Specimen


@dataclass(frozen=True)
class GraSP(Proxy):
    """−Σ w · (Hg), g the gradient and H the Hessian of the loss of the batch in the weights w of all layers together.

    Hg is the gradient of ½‖g‖², by a second backward pass.

    >>> import torch
    >>> from torch import nn
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(GraSP()(network, batch), 4)  # 2 p² (1 − p) with p = 1 / (1 + e)
    0.1058

    *Source:* Wang et al., Picking winning tickets before training by preserving gradient flow, arXiv 2002.07376; as a
    proxy: arXiv 2101.08134.
    """

    executor: ClassVar[str | None] = "plain"  # the fused executors have first derivatives only

    def examine(self, specimen: Specimen) -> dict[str, Tensor]:
        """The sum over the weights of every layer."""
        gradients = specimen.derivatives(specimen.loss(), create_graph=True)
        # g · g' with a constant copy g': its derivative is Hg.
        terms = [(g * g.detach()).sum() for _, g in gradients.values()]
        try:
            along = specimen.derivatives(sum(terms[1:], terms[0]))
        except RuntimeError as error:
            raise ArchgradError(f"grasp: the network has no second derivatives: {reason(error)}") from None
        return {layer: -(weight * hg).sum() for layer, (weight, hg) in along.items()}
