"""The relaxation of DARTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archgrad.components import Alphas, Context, Relaxation
from archgrad.mixture import Mixture
from archgrad.relaxation.support import check_temperature, masked, mixture_of, temperature_at
from archgrad.schedules.anneal import Anneal


@dataclass(frozen=True)
class Softmax(Relaxation):
    """w_{e,o} = exp(α_{e,o}/τ) / Σ_{o'} exp(α_{e,o'}/τ) over the candidates that an edge has.

    *Source:* DARTS, arXiv 1806.09055, equation 2 (τ = 1).
    """

    temperature: float | Anneal = 1.0

    def __post_init__(self) -> None:
        check_temperature("Softmax", self.temperature)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        context = context or Context()
        tau = temperature_at(self.temperature, context)
        weights = {g: (masked(g, alpha, context) / tau).softmax(-1)[None] for g, alpha in alphas.items()}
        return mixture_of(weights, sites, context)
