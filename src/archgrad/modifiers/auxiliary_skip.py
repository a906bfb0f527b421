"""The modifier of DARTS−."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from archgrad.anneal import Anneal, value_at
from archgrad.choice import Choice
from archgrad.context import Alphas, Context
from archgrad.engine.candidates import cells_of, choices_of, lacking
from archgrad.genotype import is_skip
from archgrad.mixture import Mixture
from archgrad.roles import Modifier
from archgrad.supernet import Supernet

NAME = "auxiliary_skip"


@dataclass(frozen=True)
class AuxiliarySkip(Modifier):
    """A skip connection beside the candidates of every edge, whose weight falls from 1 to 0 over the run.

    The weight is 1 − epoch/epochs, so that some of it is left in the last epoch.

    It takes over the skip connection's part in keeping gradients alive, so that what α measures is the candidate's
    worth as an operation. Settled networks do not have it. A `Choice` outside of cells gets a copy of its own skip
    connection, and one that has none is left alone.

    *Source:* DARTS−, arXiv 2009.01027, equation 4 (linear, cosine or step decay).
    *Differs:* one published library kept the weight constant, and counted the skip twice beside partial channels.
    """

    needs = "cells, or a choice with a skip connection among its candidates: an nn.Identity, or one named skip…"

    weight: float | Anneal = Anneal(1.0, 0.0, over="length")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        skips = [(choice, name) for choice in choices_of(supernet.network) if (name := _skip_of(choice))]
        if not skips and not cells_of(supernet.network):
            raise lacking(self)
        for cell in cells_of(supernet.network):
            cell.beside(NAME, "skip_connect")
        for choice, name in skips:
            choice.beside(NAME, name)

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        like = next(iter(mixture.values()))
        return mixture.with_extras({NAME: like.new_full((), value_at(self.weight, context.clock))})


def _skip_of(choice: Choice) -> str | None:
    """The candidate of a choice that is a skip connection."""
    found = (name for name, module in choice.candidates.items() if is_skip(name) or isinstance(module, nn.Identity))
    return next(found, None)
