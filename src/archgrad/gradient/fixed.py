"""No architecture gradient."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.context import Alphas, Context
from archgrad.objective import Objective
from archgrad.roles import ArchitectureGradient


@dataclass(frozen=True)
class Fixed(ArchitectureGradient):
    """Leaves the alphas as they are: only the weights are trained."""

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> None:
        return None
