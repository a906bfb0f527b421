"""The relaxation of ReinMax."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal, value_at
from archgrad.roles import Now, Per, Relaxation
from archgrad.roles.relaxation import require_per, require_temperature


@dataclass(frozen=True)
class ReinMax(Relaxation):
    """A sampled one-hot D ~ softmax(α) whose gradient is accurate to second order.

    With π₀ = softmax(α), π₁ = (D + softmax(α/τ))/2 and π₁' = softmax(log π₁ − α + α), where only the last α is
    differentiated, the gradient is that of 2π₁' − π₀/2, whose largest entry is D's. At τ = 1 this is Heun's method,
    exact for losses that are quadratic in D, where the straight-through estimator is Euler's.

    *Source:* Liu et al., Bridging Discrete and Backpropagation, arXiv 2304.08612, algorithm 2.
    """

    hard = True

    temperature: float | Anneal = 1.0
    per: Per = "step"

    def __post_init__(self) -> None:
        require_temperature("ReinMax", self.temperature)
        require_per("ReinMax", self.per)

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "draws edges ops"]:
        logits, noise = alpha[None], now.gumbel(alpha, self.per)
        with torch.no_grad():
            won = (logits.log_softmax(-1) + noise).argmax(-1, keepdim=True)
            sample = torch.zeros_like(noise).scatter(-1, won, 1.0)
        soft = (logits / value_at(self.temperature, now.clock)).softmax(-1)
        middle = ((sample + soft) / 2).log().detach()
        corrected = torch.where(torch.isfinite(logits), middle - logits.detach() + logits, logits).softmax(-1)
        return 2 * corrected - logits.softmax(-1) / 2
