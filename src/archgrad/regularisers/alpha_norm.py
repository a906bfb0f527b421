"""The length of the alphas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.context import Alphas, Context
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.roles import Regulariser


@dataclass(frozen=True)
class AlphaNorm(Regulariser):
    """weight · Σ over groups of ‖α‖, the Euclidean norm of all alphas that a group has left.

    A pull of constant strength towards 0, where every mixture is uniform.

    *Source:* the library confopt (arXiv 2507.16533), which takes it for DrNAS' anchor ("l2", weight 1e-3).
    """

    weight: float | Anneal = 1e-3

    def term(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        norms = []
        for group, alpha in alphas.items():
            mask = context.candidates(group)
            left = alpha if mask is None else alpha * mask.to(alpha.device, non_blocking=True)
            norms.append(left.norm())
        return torch.stack(norms).sum()
