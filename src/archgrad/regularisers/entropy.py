"""Entropy of the mixture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.roles import MeanOverEdges


@dataclass(frozen=True)
class Entropy(MeanOverEdges):
    """weight · mean over sites and edges of −Σ_o w log w, in nats; a positive weight makes decisions clear-cut."""

    weight: float | Anneal = 0.1

    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Float[Tensor, "sites edges"]:
        # Above 0 by a trifle: the derivative of −w log w is infinite at 0, where missing candidates are.
        entropy: Tensor = torch.special.entr(weights.clamp_min(torch.finfo(weights.dtype).tiny)).sum(-1)
        return entropy
