"""The relaxation of SNAS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.relaxation.samples import soft_sample
from archgrad.roles import Now, Per, Relaxation
from archgrad.roles.relaxation import require_per, require_temperature


@dataclass(frozen=True)
class GumbelSoftmax(Relaxation):
    """w = softmax((log softmax α + g)/τ), g standard Gumbel.

    *Source:* SNAS, arXiv 1812.09926, equation 4; τ = 1 − 0.97·(epoch + 1)/150, as its published command has it.
    """

    temperature: float | Anneal = Anneal(1 - 0.97 / 150, 0.03)
    per: Per = "step"

    def __post_init__(self) -> None:
        require_temperature("GumbelSoftmax", self.temperature)
        require_per("GumbelSoftmax", self.per)

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "draws edges ops"]:
        return soft_sample(alpha, self.temperature, self.per, now)
