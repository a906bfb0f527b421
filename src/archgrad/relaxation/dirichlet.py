"""The relaxation of DrNAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from archgrad.components import Alphas, Context, Relaxation
from archgrad.mixture import Mixture
from archgrad.randomness import derive
from archgrad.relaxation.support import Per, check_per, mixture_of, support


@dataclass(frozen=True)
class Dirichlet(Relaxation):
    """w_e ~ Dirichlet(elu(α_e) + 1), differentiated along the path of the sample.

    Candidates that an edge does not have get no weight; the others are distributed as if those were not there.

    *Source:* DrNAS, arXiv 2006.10355, equation 5 and section 3.2.
    """

    per: Per = "step"

    def __post_init__(self) -> None:
        check_per("Dirichlet", self.per)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        context = context or Context()
        step = 0 if self.per == "epoch" else context.clock.step
        seed = derive(context.seed, "dirichlet", context.clock.epoch, step)
        # Gamma numbers have no generator argument: the global one is seeded for the draw and given back.
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            weights = {group: self._draw(group, alpha, sites[group], context) for group, alpha in alphas.items()}
        return mixture_of(weights, sites, context)

    def _draw(self, group: str, alpha: Tensor, sites: int, context: Context) -> Tensor:
        count = sites if self.per == "site" else 1
        concentration, mask = concentrations(alpha), support(group, context)
        if mask is not None:
            mask = mask.to(alpha.device, non_blocking=True)
            concentration = concentration.where(mask, 1.0)  # no draw depends on an alpha that stands for nothing
        concentration = concentration.expand(count, -1, -1)
        # Independent Gamma numbers, normalised, are Dirichlet: masking before the normalisation removes a candidate.
        gamma: Tensor = torch.distributions.Gamma(concentration, torch.ones_like(concentration)).rsample()
        gamma = gamma.clamp_min(torch.finfo(gamma.dtype).tiny)
        if mask is not None:
            gamma = gamma * mask
        return gamma / gamma.sum(-1, keepdim=True)


def concentrations(alpha: Tensor) -> Tensor:
    """elu(α) + 1, above 0 also where it rounds to it."""
    return (F.elu(alpha) + 1).clamp_min(torch.finfo(alpha.dtype).eps)
