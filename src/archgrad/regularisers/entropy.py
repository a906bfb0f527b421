"""Entropy of the mixture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, Regulariser
from archgrad.mixture import Mixture
from archgrad.relaxation.support import candidates
from archgrad.schedules.anneal import Anneal, value_at


@dataclass(frozen=True)
class Entropy(Regulariser):
    """weight · mean over sites and edges of −Σ_o w log w, in nats; a positive weight makes decisions clear-cut."""

    weight: float | Anneal = 0.1

    def __call__(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        rows = []
        for group in alphas:
            w, mask = mixture[group], candidates(group, context)
            # Above 0 by a trifle: the derivative of −w log w is infinite at 0, where missing candidates are.
            entropy = torch.special.entr(w.clamp_min(torch.finfo(w.dtype).tiny)).sum(-1)
            rows.append((entropy if mask is None else entropy[:, mask.any(-1).to(w.device)]).flatten())
        return value_at(self.weight, context.clock) * torch.cat(rows).mean()
