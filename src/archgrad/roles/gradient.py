"""The two gradients of a step: that of the alphas, and that of the weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.objective import Objective


class ArchitectureGradient(ABC):
    """The direction in which alphas are changed."""

    needs = ""  # no annotation: see `Modifier.rebuilds`
    """What a network or its data must have for it, in words; empty where any will do."""

    @abstractmethod
    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor] | None:
        """One gradient per group, or None to leave the alphas alone; ``objective.inner`` is the training batch."""


class WeightGradient(ABC):
    """The direction in which the supernet's weights are changed."""

    needs = ""  # no annotation: see `Modifier.rebuilds`
    """What a network or its data must have for it, in words; empty where any will do."""

    @abstractmethod
    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        """One gradient per tensor of ``objective.weights``."""
