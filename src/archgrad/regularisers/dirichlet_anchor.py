"""The regulariser of DrNAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from archgrad.components import Alphas, Context, Regulariser
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture
from archgrad.relaxation.dirichlet import concentrations


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
            concentration = concentrations(alpha)
            for edge, row in enumerate(concentration):
                kept = row[context.masks[group][edge].to(row.device)] if group in context.masks else row
                if self.distance == "kl":
                    values.append(kl_divergence(Dirichlet(kept), Dirichlet(torch.ones_like(kept))))
                else:
                    values.append((kept - 1).square().sum())
        return self.weight * torch.stack(values).mean()
