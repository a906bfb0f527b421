"""The relaxation of ReinMax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from archgrad.components import Alphas, Context, Relaxation
from archgrad.mixture import Mixture
from archgrad.relaxation.support import (
    Per,
    check_per,
    check_temperature,
    gumbel,
    hardened,
    masked,
    mixture_of,
    temperature_at,
)
from archgrad.schedules.anneal import Anneal


@dataclass(frozen=True)
class ReinMax(Relaxation):
    """A sampled one-hot D ~ softmax(α) whose gradient is accurate to second order.

    With π₀ = softmax(α), π₁ = (D + softmax(α/τ))/2 and π₁' = softmax(log π₁ − α + α), where only the last α is
    differentiated, the gradient is that of 2π₁' − π₀/2. At τ = 1 this is Heun's method, exact for losses that are
    quadratic in D, where the straight-through estimator is Euler's.

    *Source:* Liu et al., Bridging Discrete and Backpropagation, arXiv 2304.08612, algorithm 2.
    """

    temperature: float | Anneal = 1.0
    per: Per = "step"

    def __post_init__(self) -> None:
        check_temperature("ReinMax", self.temperature)
        check_per("ReinMax", self.per)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        context = context or Context()
        tau = temperature_at(self.temperature, context)
        soft, hard = {}, {}
        for group, alpha in alphas.items():
            logits = masked(group, alpha, context)[None]
            noise = gumbel(group, alpha, sites[group], self.per, context)
            with torch.no_grad():
                won = (logits.log_softmax(-1) + noise).argmax(-1, keepdim=True)
                sample = torch.zeros_like(noise).scatter(-1, won, 1.0)
            middle = ((sample + (logits / tau).softmax(-1)) / 2).log().detach()
            corrected = torch.where(torch.isfinite(logits), middle - logits.detach() + logits, logits).softmax(-1)
            soft[group] = 2 * corrected - logits.softmax(-1) / 2
            hard[group] = sample
        winners = hardened(mixture_of(hard, sites, context))
        estimate = mixture_of(soft, sites, context)
        return winners.with_weights({g: winners[g] + estimate[g] - estimate[g].detach() for g in estimate})
