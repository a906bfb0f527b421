"""A genotype drawn from what the alphas say."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from archgrad.components import Alphas, Context, Discretisation, Relaxation, Score
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Group, Kept
from archgrad.modifiers.edge_normalisation import edge_shares
from archgrad.relaxation.softmax import Softmax
from archgrad.supernet import EDGES

NEARLY_NONE = 1e-6
"""The strength of an edge of which nothing can be kept, relative to the mean of its node: it is drawn last."""


@dataclass(frozen=True)
class Sampled(Discretisation):
    """Candidates drawn with the weights of ``relaxation``, those that no genotype may keep left out.

    Where a node keeps k of its edges, these are drawn one after the other without replacement, each with probability
    proportional to the weight of its selectable candidates, times its share where edges have parameters. The expected
    cost of such genotypes is what the regulariser `Cost` computes.
    """

    relaxation: Relaxation = field(default_factory=Softmax)

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = context.supernet
        if supernet is None:
            raise ArchgradError("Sampled needs a supernet in its context")
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
        return Genotype.of(choices, supernet.space.name if supernet.space else "")


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


def selectable(group: Group, weights: Float[Tensor, "... edges ops"]) -> Float[Tensor, "... edges ops"]:
    """The weights of the candidates that a genotype may keep, 0 elsewhere."""
    may = [[op in group.selectable(number) for op in group.operations] for number in range(len(group.edges))]
    return weights * torch.tensor(may).to(weights, non_blocking=True)


def strengths(weights: Float[Tensor, "... edges"]) -> Float[Tensor, "... edges"]:
    """Probabilities of the edges of one node, none of them 0."""
    floor = NEARLY_NONE * weights.mean(-1, keepdim=True).clamp_min(NEARLY_NONE)
    return (weights + floor) / (weights + floor).sum(-1, keepdim=True)


def inclusion(weights: Float[Tensor, "... edges"], keep: int) -> Float[Tensor, "... edges"]:
    """The probability of every edge of a node to be among the ``keep`` that are drawn without replacement.

    Σ over the orders in which edges can be drawn of Π q_e / (1 − Σ of those drawn before e); differentiable.

    >>> inclusion(torch.tensor([0.5, 0.25, 0.25], dtype=torch.double), 2).round(decimals=4)
    tensor([0.8333, 0.5833, 0.5833], dtype=torch.float64)
    """
    count = weights.shape[-1]
    if keep >= count:
        return torch.ones_like(weights)
    q = strengths(weights)
    orders = torch.tensor(list(itertools.permutations(range(count), keep)), device=q.device)
    drawn = q[..., orders]
    before = drawn.cumsum(-1) - drawn
    chance = (drawn / (1 - before)).prod(-1)
    among = torch.nn.functional.one_hot(orders, count).sum(1).to(q)
    return chance @ among
