"""The relaxation of FairDARTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archgrad.components import Alphas, Context, Relaxation
from archgrad.mixture import Mixture
from archgrad.relaxation.support import masked, mixture_of


@dataclass(frozen=True)
class Sigmoid(Relaxation):
    """w_{e,o} = 1/(1 + exp(−α_{e,o})): candidates do not compete.

    *Source:* FairDARTS, arXiv 1911.12126, section 3.2.
    """

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        context = context or Context()
        return mixture_of({g: masked(g, alpha, context).sigmoid()[None] for g, alpha in alphas.items()}, sites, context)
