"""The weight gradient of the plain loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.components import Alphas, Context, WeightGradient
from archgrad.objective import Objective


@dataclass(frozen=True)
class Plain(WeightGradient):
    """∇_ω ℓ_train(ω, α), the alphas taken as they are."""

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        with torch.no_grad():
            mixture = objective.mixture(alphas)
        return objective.weight_gradient(mixture)
