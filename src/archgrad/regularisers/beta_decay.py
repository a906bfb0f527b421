"""The regulariser of β-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, Regulariser
from archgrad.mixture import Mixture
from archgrad.relaxation.support import candidates, masked
from archgrad.schedules.anneal import Anneal, value_at


@dataclass(frozen=True)
class BetaDecay(Regulariser):
    """λ · mean over all edges of log Σ_o exp α_{e,o} over their candidates, λ rising linearly from 0 to 50.

    *Source:* β-DARTS, arXiv 2203.01665, equation 14. *Differs:* one published library passed the step number as the
    epoch, which made λ hundreds of times larger.
    """

    weight: float | Anneal = Anneal(0.0, 50.0)

    def __call__(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        sums = []
        for group, alpha in alphas.items():
            rows, mask = masked(group, alpha, context).logsumexp(-1), candidates(group, context)
            sums.append(rows if mask is None else rows[mask.any(-1).to(rows.device)])
        return value_at(self.weight, context.clock) * torch.cat(sums).mean()
