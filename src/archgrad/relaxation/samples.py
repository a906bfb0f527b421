"""What relaxations that draw share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal, value_at
from archgrad.roles import Now, Per


def soft_sample(
    alpha: Float[Tensor, "edges ops"], temperature: float | Anneal, per: Per, now: Now
) -> Float[Tensor, "draws edges ops"]:
    """softmax((log softmax α + g)/τ), g standard Gumbel."""
    return ((alpha.log_softmax(-1) + now.gumbel(alpha, per)) / value_at(temperature, now.clock)).softmax(-1)
