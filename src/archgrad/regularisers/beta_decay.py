"""The regulariser of β-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.roles import MeanOverEdges


@dataclass(frozen=True)
class BetaDecay(MeanOverEdges):
    """λ · mean over all edges of log Σ_o exp α_{e,o} over their candidates, λ rising by ½ per epoch, to 50 at most.

    *Source:* β-DARTS, arXiv 2203.01665, equation 14; its program has λ = 50·epoch/100 whatever the length of the
    search: 24.5 in the last of 50 epochs (DARTS space), 49.5 in the last of 100 (NAS-Bench-201).
    *Differs:* where there are two kinds of cells, a program built on it (that of A²M) adds their two means, which is
    twice as much: weight=Anneal(0, 100, over=100). One published library passed the step number as the epoch, which
    made λ hundreds of times larger.
    """

    weight: float | Anneal = Anneal(0.0, 50.0, over=100)

    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Float[Tensor, " edges"]:
        return alpha.logsumexp(-1)
