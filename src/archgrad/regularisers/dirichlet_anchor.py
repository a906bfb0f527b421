"""The regulariser of DrNAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, Regulariser
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture
from archgrad.relaxation.dirichlet import concentrations
from archgrad.relaxation.support import candidates


@dataclass(frozen=True)
class DirichletAnchor(Regulariser):
    """Keeps Dirichlet(elu(α) + 1) near Dirichlet(1), the uniform distribution of mixtures.

    ``kl``: weight · mean over edges of KL(Dirichlet(elu(α)+1) ‖ Dirichlet(1)), over the candidates that an edge has;
    ``l2``: weight · mean over edges of ‖elu(α)‖².

    *Source:* DrNAS, arXiv 2006.10355, section 3.2 (weight 1e-3).
    """

    weight: float = 1e-3
    distance: Literal["kl", "l2"] = "kl"

    def __post_init__(self) -> None:
        if self.distance not in ("kl", "l2"):
            raise ArchgradError(f"DirichletAnchor: distance must be 'kl' or 'l2', got {self.distance!r}")

    def __call__(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        values = []
        for group, alpha in alphas.items():
            concentration, mask = concentrations(alpha), candidates(group, context)
            if mask is not None:
                some, mask = mask.any(-1).to(alpha.device), mask.to(alpha.device)
                concentration, mask = concentration[some], mask[some]
            values.append(self._values(concentration, torch.ones_like(concentration) if mask is None else mask))
        return self.weight * torch.cat(values).mean()

    def _values(self, concentration: Tensor, mask: Tensor) -> Tensor:
        """Per edge; at 1, where missing candidates are put, every summand vanishes."""
        c = concentration.where(mask.bool(), 1.0)
        if self.distance == "l2":
            return (c - 1).square().sum(-1)
        total, count = (c * mask).sum(-1), mask.sum(-1).to(c)
        shift = ((c - 1) * (c.digamma() - total.digamma()[:, None])).sum(-1)
        return total.lgamma() - c.lgamma().sum(-1) - count.lgamma() + shift
