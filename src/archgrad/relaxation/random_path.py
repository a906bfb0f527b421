"""The relaxation of random search: no relaxation at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.mixture import Mixture
from archgrad.roles import Relaxation


@dataclass(frozen=True)
class RandomPath(Relaxation):
    """The one-hot mixture of a genotype drawn uniformly in every step; alphas play no part.

    Pruned candidates, and those that the method goes without, are not drawn. A genotype decides all groups together, so
    that there is no formula of one of them.

    *Source:* Li and Talwalkar, Random Search and Reproducibility for NAS, arXiv 1902.07638 (with weight sharing).
    """

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        if context is None or context.supernet is None:
            raise ArchgradError("RandomPath needs a supernet in its context: it draws genotypes of the whole space")
        return context.supernet.one_hot(context.random(context.generator("path")))
