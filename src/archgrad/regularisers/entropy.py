"""Entropy of the mixture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, Regulariser
from archgrad.mixture import Mixture
from archgrad.schedules.anneal import Anneal, value_at


@dataclass(frozen=True)
class Entropy(Regulariser):
    """weight · mean over sites and edges of −Σ_o w log w, in nats; a positive weight makes decisions clear-cut."""

    weight: float | Anneal = 0.1

    def __call__(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        rows = torch.cat([torch.special.entr(w).sum(-1).flatten() for w in mixture.values()])
        return value_at(self.weight, context.clock) * rows.mean()
