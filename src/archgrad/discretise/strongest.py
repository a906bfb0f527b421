"""The strongest candidates stay."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.components import Alphas, Context, Discretisation, Score
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Group, Kept


@dataclass(frozen=True)
class Strongest(Discretisation):
    """Per edge the candidate with the largest weight; per node the edges whose strongest candidate is largest.

    Strength is softmax(α) over all candidates of the edge; candidates that the space excludes from genotypes (DARTS'
    ``none``) take their share of it but cannot win. How many edges stay per node is the space's own rule; an edge whose
    candidates have all been pruned is not among them.

    *Source:* DARTS, arXiv 1806.09055, section 2.4.
    """

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = context.supernet
        if supernet is None:
            raise ArchgradError("Strongest needs a supernet in its context")
        choices = {}
        for name, group in supernet.groups.items():
            left = group.mask & context.masks[name] if name in context.masks else group.mask
            logits = alphas[name].detach().cpu().double().masked_fill(~left, -torch.inf)
            choices[name] = settle(group, logits.softmax(-1), left)
        return Genotype.of(choices, supernet.space.name if supernet.space else "")


def settle(group: Group, strength: Float[Tensor, "edges ops"], left: Bool[Tensor, "edges ops"] | None = None) -> Kept:
    """The strongest candidates of one group by the group's own rule; ties go to the one listed first.

    ``left``: the candidates that may stay, all by default. An edge of which none may stays empty where a node keeps
    some of its edges only, and is an error elsewhere.
    """
    kept: list[tuple[str, ...]] = []
    best: list[float] = []
    for number, edge in enumerate(group.edges):
        places = {name: group.operations.index(name) for name in group.selectable(number)}
        column = {n: float(strength[number, p]) for n, p in places.items() if left is None or left[number, p]}
        if len(column) < group.select and (column or group.keep is None):
            raise ArchgradError(
                f"group {group.name!r}: edge {edge.source}→{edge.target} must keep {group.select} of its candidates, "
                f"but {len(column)} of {list(places)} have not been pruned"
            )
        winners = sorted(column, key=lambda name: -column[name])[: group.select]
        kept.append(tuple(name for name in column if name in winners))
        best.append(column[winners[0]] if winners else -torch.inf)
    if group.keep is not None:
        for incoming in group.incoming.values():
            for number in sorted(incoming, key=lambda e: -best[e])[group.keep :]:
                kept[number] = ()
    return tuple(kept)
