"""Plain: weights times gradients, with their sign."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.shared import GradientProxy


@dataclass(frozen=True)
class Plain(GradientProxy):
    """Σ w · ∂CE/∂w over the weights of convolutions and linear layers.

    In front of a BN the loss does not depend on the length of a filter, so that such a layer contributes exactly 0.

    *Source:* Abdelfattah et al., arXiv 2101.08134.
    """

    def contribution(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """What one layer contributes."""
        return (weight * gradient).sum()
