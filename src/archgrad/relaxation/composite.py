"""One relaxation inside another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from archgrad.context import Alphas, Context
from archgrad.mixture import Mixture
from archgrad.roles import Relaxation


@dataclass(frozen=True)
class Composite(Relaxation):
    """``outer`` applied to the logarithm of what ``inner`` makes of the alphas, one site at a time.

    Sampled-operation speed is kept where the outer relaxation is hard. Example: a straight-through Gumbel sample of a
    Dirichlet sample is ``Composite(inner=Dirichlet(), outer=StraightThroughGumbel())``.

    *Source:* the idea of nested samplers in confopt, arXiv 2507.16533.
    """

    inner: Relaxation
    outer: Relaxation

    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        context = context or Context()
        first = self.inner(alphas, sites, context.within("inner"))
        tiny = {group: torch.finfo(w.dtype).tiny for group, w in first.items()}
        # Rows of the outer relaxation are edges: the sites of a group become edges of one site, and return afterwards.
        rows = {group: w.clamp_min(tiny[group]).log().flatten(0, 1) for group, w in first.items()}
        masks = {g: mask.repeat(sites[g], 1) for g in first if (mask := context.candidates(g)) is not None}
        # Its groups are no longer those of the supernet, which the outer relaxation therefore does not get to see.
        within = replace(context.within("outer"), masks=masks, supernet=None)
        second = self.outer(rows, dict.fromkeys(rows, 1), within)
        weights = {g: w[0].view_as(first[g]) for g, w in second.items()}
        active = {g: a[0].view(first[g].shape) for g, a in second.active.items()}
        return Mixture(weights, active, {**first.extras, **second.extras})
