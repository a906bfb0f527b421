"""SNIP: what the loss would lose without a connection."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.shared import GradientProxy


@dataclass(frozen=True)
class SNIP(GradientProxy):
    """Σ |w · ∂CE/∂w| over the weights of convolutions and linear layers.

    *Source:* Lee et al., SNIP, arXiv 1810.02340; as a proxy: arXiv 2101.08134.
    """

    def contribution(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """What one layer contributes."""
        return (weight * gradient).abs().sum()
