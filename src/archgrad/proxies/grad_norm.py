"""Gradient norm."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.proxies.shared import GradientProxy


@dataclass(frozen=True)
class GradNorm(GradientProxy):
    """Σ_m ‖∂CE/∂w_m‖₂ over convolutions and linear layers m.

    *Source:* Abdelfattah et al., arXiv 2101.08134.
    """

    def contribution(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """What one layer contributes."""
        norm: Tensor = gradient.norm()
        return norm
