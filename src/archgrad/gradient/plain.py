"""The weight gradient of the plain loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.objective import Objective
from archgrad.roles import WeightGradient


@dataclass(frozen=True)
class Plain(WeightGradient):
    """∇_ω ℓ_train(ω, α), the alphas taken as they are."""

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        with torch.no_grad():
            mixture = objective.mix(alphas)
        return objective.weight_gradient(mixture)
