"""A genotype drawn from what the alphas say."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.formulas.settling import edge_shares, selectable, strengths
from archgrad.genotype import Genotype, Group, Kept
from archgrad.relaxation.softmax import Softmax
from archgrad.roles import Discretisation, Relaxation, Score
from archgrad.supernet import EDGES


@dataclass(frozen=True)
class Sampled(Discretisation):
    """Candidates drawn with the weights of ``relaxation``, those that no genotype may keep left out.

    Where a node keeps k of its edges, these are drawn one after the other without replacement, each with probability
    proportional to the weight of its selectable candidates, times its share where edges have parameters. The expected
    cost of such genotypes is what the regulariser `Cost` computes.
    """

    relaxation: Relaxation = field(default_factory=Softmax)

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = self.supernet(context)
        generator = context.generator("genotype")
        with torch.no_grad():
            mixture = self.relaxation({n: alphas[n] for n in supernet.groups}, supernet.sites, context)
        choices = {}
        for name, group in supernet.groups.items():
            weights = mixture[name].detach()[0].cpu().double()
            if name in mixture.active:
                weights = weights * mixture.active[name][0]
            share = edge_shares(group, alphas[name + EDGES].detach().cpu().double()) if name + EDGES in alphas else None
            choices[name] = _draw(group, selectable(group, weights), share, generator)
        return Genotype.of(choices, supernet.space_name)


def _draw(group: Group, weights: Tensor, share: Tensor | None, generator: torch.Generator) -> Kept:
    kept: list[tuple[str, ...]] = []
    for number, row in enumerate(weights):
        count = min(group.select, int((row > 0).sum()))
        if count < group.select and group.keep is None:
            # A hard mixture may have chosen what no genotype keeps: then any selectable candidate will do.
            row = row + torch.tensor([float(op in group.selectable(number)) for op in group.operations]) * 1e-12
            count = group.select
        places = torch.multinomial(row, count, generator=generator).tolist() if count else []
        kept.append(tuple(op for place, op in enumerate(group.operations) if place in places))
    if group.keep is not None:
        strength = weights.sum(-1) if share is None else weights.sum(-1) * share[:, 0]
        for incoming in group.incoming.values():
            able = [e for e in incoming if kept[e]]
            if len(able) > group.keep:
                drawn = torch.multinomial(strengths(strength[able]), group.keep, generator=generator).tolist()
                able = [able[place] for place in drawn]
            for edge in set(incoming) - set(able):
                kept[edge] = ()
    return tuple(kept)
