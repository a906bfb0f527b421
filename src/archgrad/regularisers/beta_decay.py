"""The regulariser of β-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.roles import MeanOverEdges


@dataclass(frozen=True)
class BetaDecay(MeanOverEdges):
    """λ · mean over all edges of log Σ_o exp α_{e,o} over their candidates, λ rising linearly from 0 to 50.

    *Source:* β-DARTS, arXiv 2203.01665, equation 14. *Differs:* one published library passed the step number as the
    epoch, which made λ hundreds of times larger.
    """

    weight: float | Anneal = Anneal(0.0, 50.0)

    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Float[Tensor, " edges"]:
        return alpha.logsumexp(-1)
