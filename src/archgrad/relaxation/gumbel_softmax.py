"""The relaxation of SNAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from archgrad.components import Alphas, Context, Relaxation
from archgrad.mixture import Mixture
from archgrad.relaxation.support import Per, check_per, check_temperature, gumbel, masked, mixture_of, temperature_at
from archgrad.schedules.anneal import Anneal


@dataclass(frozen=True)
class GumbelSoftmax(Relaxation):
    """w = softmax((log softmax α + g)/τ), g standard Gumbel.

    *Source:* SNAS, arXiv 1812.09926, equation 4; τ falls from 1 to 0.33 over the run.
    """

    temperature: float | Anneal = Anneal(1.0, 0.33)
    per: Per = "step"

    def __post_init__(self) -> None:
        check_temperature("GumbelSoftmax", self.temperature)
        check_per("GumbelSoftmax", self.per)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        return mixture_of(soft_samples(alphas, sites, self.temperature, self.per, context), sites, context or Context())


def soft_samples(
    alphas: Alphas, sites: Mapping[str, int], temperature: float | Anneal, per: Per, context: Context | None
) -> dict[str, Tensor]:
    """Gumbel-softmax samples ``[1 or sites, edges, ops]`` of every group."""
    context = context or Context()
    tau = temperature_at(temperature, context)
    return {
        group: (
            (masked(group, alpha, context).log_softmax(-1) + gumbel(group, alpha, sites[group], per, context)) / tau
        ).softmax(-1)
        for group, alpha in alphas.items()
    }
