"""The relaxation of DARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal, value_at
from archgrad.roles import Now, Relaxation
from archgrad.roles.relaxation import require_temperature


@dataclass(frozen=True)
class Softmax(Relaxation):
    """w_{e,o} = exp(α_{e,o}/τ) / Σ_{o'} exp(α_{e,o'}/τ) over the candidates that an edge has.

    *Source:* DARTS, arXiv 1806.09055, equation 2 (τ = 1).
    """

    temperature: float | Anneal = 1.0

    def __post_init__(self) -> None:
        require_temperature("Softmax", self.temperature)

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "edges ops"]:
        return (alpha / value_at(self.temperature, now.clock)).softmax(-1)
