"""The relaxation of DrNAS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.formulas.dirichlet import concentrations
from archgrad.mixture import Mixture
from archgrad.randomness import isolated
from archgrad.roles import Now, Per, Relaxation
from archgrad.roles.relaxation import require_per


@dataclass(frozen=True)
class Dirichlet(Relaxation):
    """w_e ~ Dirichlet(elu(α_e) + 1), differentiated along the path of the sample.

    Candidates that an edge does not have get no weight; the others are distributed as if those were not there.

    *Source:* DrNAS, arXiv 2006.10355, equation 5 and section 3.2.
    """

    per: Per = "step"

    def __post_init__(self) -> None:
        require_per("Dirichlet", self.per)

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        context = context or Context()
        clock = context.clock
        # Gamma numbers have no generator argument: the global one is seeded for the draw and given back.
        with isolated(context.seed, "dirichlet", clock.epoch, 0 if self.per == "epoch" else clock.step):
            return super().__call__(alphas, sites, context)

    def weights(self, alpha: Float[Tensor, "edges ops"], now: Now) -> Float[Tensor, "draws edges ops"]:
        exists = alpha.isfinite()
        concentration = concentrations(alpha).where(exists, 1.0)  # no draw depends on an alpha that stands for nothing
        concentration = concentration.expand(now.sites if self.per == "site" else 1, -1, -1)
        # Independent Gamma numbers, normalised, are Dirichlet: masking before the normalisation removes a candidate.
        # Not validated: that waits for the device, and a search that diverges is told so by its loop.
        rate = torch.ones_like(concentration)
        gamma: Tensor = torch.distributions.Gamma(concentration, rate, validate_args=False).rsample()
        gamma = gamma.clamp_min(torch.finfo(gamma.dtype).tiny) * exists
        return gamma / gamma.sum(-1, keepdim=True)
