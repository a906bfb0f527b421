"""GraSP: what the gradient's length would gain without a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from archgrad.derivatives import derivatives
from archgrad.proxies.layers import by_layer, cross_entropy, logits, weighted
from archgrad.proxies.proxy import Measurement, Proxy


@dataclass(frozen=True)
class GraSP(Proxy):
    """−Σ w · (Hg), g the gradient and H the Hessian of the cross-entropy in the weights of all layers together.

    Hg is the gradient of ½‖g‖², by a second backward pass.

    *Source:* Wang et al., Picking winning tickets before training by preserving gradient flow, arXiv 2002.07376; as a
    proxy: arXiv 2101.08134.
    """

    executor: ClassVar[str | None] = "plain"  # the fused executors have first derivatives only

    def evaluate(self, network: nn.Module, images: Tensor, labels: Tensor) -> Measurement:
        """The sum over layers."""
        layers = weighted(network)
        weights = [layer.weight for layer in layers.values()]
        loss = cross_entropy(logits(network, images), labels)
        gradient = derivatives(loss, weights, create_graph=True)
        hessian_gradient = derivatives(sum_of_products(gradient), weights)
        found = by_layer(layers, hessian_gradient, lambda w, hg: -(w * hg).sum())
        return Measurement(sum(found.values()), found)


def sum_of_products(gradient: list[Tensor]) -> Tensor:
    """Σ g · g', g' a constant copy: its gradient is Hg."""
    terms = [(g * g.detach()).sum() for g in gradient]
    return sum(terms[1:], terms[0])
