"""The discretisation of PC-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.formulas.settling import edge_shares, settle, shares
from archgrad.genotype import Genotype, Group, Kept
from archgrad.roles import Groupwise, Score
from archgrad.supernet import EDGES


@dataclass(frozen=True)
class EdgeNormalised(Groupwise):
    """As `Strongest`, by softmax(α) · β: β is the share of an edge, the softmax of its parameter within its node.

    Groups without edge parameters are settled by softmax(α).

    *Source:* PC-DARTS, arXiv 1907.05737, section 3.3 (the parameters are those of the modifier `EdgeNormalisation`).
    *Differs:* one published library left β out of the genotype, so that edges were kept that the supernet ignored.
    """

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        groups = self.supernet(context).groups
        several = any(len(edges) > 1 for group in groups.values() for edges in group.incoming.values())
        if several and not any(name + EDGES in alphas for name in groups):
            raise ArchgradError(
                "EdgeNormalised: the supernet has no edge parameters: add the modifier EdgeNormalisation, "
                "or settle by Strongest"
            )
        return super().__call__(alphas, context, score)

    def kept(self, group: Group, alphas: Alphas, left: Bool[Tensor, "edges ops"]) -> Kept:
        strength = shares(alphas[group.name], left)
        if group.name + EDGES in alphas:
            strength = strength * edge_shares(group, alphas[group.name + EDGES].detach().cpu().double())
        return settle(group, strength, left)
