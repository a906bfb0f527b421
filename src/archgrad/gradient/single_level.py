"""The architecture gradient on the training batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.gradient.first_order import FirstOrder
from archgrad.objective import Objective
from archgrad.roles import ArchitectureGradient


@dataclass(frozen=True)
class SingleLevel(ArchitectureGradient):
    """``base`` on the batch of the weight step instead of the validation batch: alphas and weights share one loss.

    *Source:* the single-level variant of DARTS, arXiv 1806.09055, section 3.3, and SNAS, arXiv 1812.09926.
    """

    base: ArchitectureGradient = field(default_factory=FirstOrder)

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor] | None:
        if objective.inner is None:
            raise ArchgradError("SingleLevel needs the training batch of the step")
        return self.base(objective.inner, alphas, context.within("base"))
