"""The strongest candidates stay."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from archgrad.context import Alphas
from archgrad.formulas.settling import settle, shares
from archgrad.genotype import Group, Kept
from archgrad.roles import Groupwise


@dataclass(frozen=True)
class Strongest(Groupwise):
    """Per edge the candidate with the largest weight; per node the edges whose strongest candidate is largest.

    Strength is softmax(α) over all candidates of the edge; candidates that the space excludes from genotypes (DARTS'
    ``none``) take their share of it but cannot win. How many edges stay per node is the space's own rule; an edge whose
    candidates have all been pruned is not among them.

    *Source:* DARTS, arXiv 1806.09055, section 2.4.
    """

    def kept(self, group: Group, alphas: Alphas, left: Bool[Tensor, "edges ops"]) -> Kept:
        return settle(group, shares(alphas[group.name], left), left)
