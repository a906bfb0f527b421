"""The regulariser of FairDARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.devices import placed
from archgrad.roles import MeanOverEdges


@dataclass(frozen=True)
class ZeroOne(MeanOverEdges):
    """−(weight/N) Σ (σ(α) − ½)² over the N existing entries of all groups: weights are pushed to 0 or 1.

    *Source:* FairDARTS, arXiv 1911.12126, equation 4 (weight 10).
    """

    weight: float | Anneal = 10.0

    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Float[Tensor, " entries"]:
        entries = placed(exists.flatten().nonzero()[:, 0], alpha.device)
        return -(alpha.flatten()[entries].sigmoid() - 0.5).square()
