"""The regulariser of FairDARTS."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, Regulariser
from archgrad.mixture import Mixture
from archgrad.relaxation.support import candidates


@dataclass(frozen=True)
class ZeroOne(Regulariser):
    """−(weight/N) Σ (σ(α) − ½)² over the N existing entries of all groups: weights are pushed to 0 or 1.

    *Source:* FairDARTS, arXiv 1911.12126, equation 4 (weight 10).
    """

    weight: float = 10.0

    def __call__(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        entries = torch.cat([existing(group, alpha, context) for group, alpha in alphas.items()])
        return -self.weight * (entries.sigmoid() - 0.5).square().mean()


def existing(group: str, alpha: Tensor, context: Context) -> Tensor:
    """The entries of a group that exist and have not been pruned, as one row."""
    mask = candidates(group, context)
    return alpha.flatten() if mask is None else alpha[mask.to(alpha.device)]
