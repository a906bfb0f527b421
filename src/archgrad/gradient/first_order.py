"""The architecture gradient at the present weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.objective import Objective
from archgrad.roles import ArchitectureGradient


@dataclass(frozen=True)
class FirstOrder(ArchitectureGradient):
    """∇_α ℓ_val(ω, α), the weights taken as they are.

    *Source:* DARTS, arXiv 1806.09055, section 2.3 (first-order approximation, ξ = 0).
    """

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor]:
        return objective.gradient(alphas)
