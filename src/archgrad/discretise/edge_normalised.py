"""The discretisation of PC-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from archgrad.components import Alphas, Context, Discretisation, Score
from archgrad.discretise.strongest import settle
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.modifiers.edge_normalisation import edge_shares
from archgrad.supernet import EDGES


@dataclass(frozen=True)
class EdgeNormalised(Discretisation):
    """As `Strongest`, by softmax(α) · β: β is the share of an edge, the softmax of its parameter within its node.

    Groups without edge parameters are settled by softmax(α).

    *Source:* PC-DARTS, arXiv 1907.05737, section 3.3 (the parameters are those of the modifier `EdgeNormalisation`).
    *Differs:* one published library left β out of the genotype, so that edges were kept that the supernet ignored.
    """

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = context.supernet
        if supernet is None:
            raise ArchgradError("EdgeNormalised needs a supernet in its context")
        if not any(name + EDGES in alphas for name in supernet.groups):
            raise ArchgradError(
                "EdgeNormalised: the supernet has no edge parameters: add the modifier EdgeNormalisation, "
                "or settle by Strongest"
            )
        choices = {}
        for name, group in supernet.groups.items():
            left = group.mask & context.masks[name] if name in context.masks else group.mask
            strength = alphas[name].detach().cpu().double().masked_fill(~left, -torch.inf).softmax(-1)
            if name + EDGES in alphas:
                strength = strength * edge_shares(group, alphas[name + EDGES].detach().cpu().double())
            choices[name] = settle(group, strength, left)
        return Genotype.of(choices, supernet.space.name if supernet.space else "")
