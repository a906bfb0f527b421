"""From numbers on edges to what stays: the rules by which a group is settled, whatever the numbers mean."""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.devices import placed
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Group, Kept
from archgrad.supernet import Supernet

NEARLY_NONE = 1e-6
"""The strength of an edge of which nothing can be kept, relative to the mean of its node: it is drawn last."""


def shares(alpha: Float[Tensor, "edges ops"], left: Bool[Tensor, "edges ops"]) -> Float[Tensor, "edges ops"]:
    """softmax(α) over the candidates that are left, in double precision on the host."""
    return alpha.detach().cpu().double().masked_fill(~left, -torch.inf).softmax(-1)


def strongest(supernet: Supernet, alphas: Alphas, context: Context) -> Genotype:
    """The genotype of the strongest candidates by softmax(α), of those that exist and have not been pruned.

    *Source:* DARTS, arXiv 1806.09055, section 2.4.
    """
    choices = {}
    for name, group in supernet.groups.items():
        left = context.candidates(name)
        left = group.mask if left is None else left
        choices[name] = settle(group, shares(alphas[name], left), left)
    return Genotype.of(choices, supernet.space_name)


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


def edge_shares(group: Group, betas: Float[Tensor, "edges 1"]) -> Float[Tensor, "edges 1"]:
    """Softmax over the edges that enter each node; edges are listed node by node."""
    return torch.cat(
        [part.softmax(0) for part in torch.split(betas, [len(edges) for edges in group.incoming.values()])]
    )


def selectable(group: Group, weights: Float[Tensor, "... edges ops"]) -> Float[Tensor, "... edges ops"]:
    """The weights of the candidates that a genotype may keep, 0 elsewhere."""
    may = [[op in group.selectable(number) for op in group.operations] for number in range(len(group.edges))]
    return weights * placed(torch.tensor(may), weights.device, weights.dtype)


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
    orders = placed(torch.tensor(list(itertools.permutations(range(count), keep))), q.device)
    drawn = q[..., orders]
    before = drawn.cumsum(-1) - drawn
    chance = (drawn / (1 - before)).prod(-1)
    among = torch.nn.functional.one_hot(orders, count).sum(1).to(q)
    return chance @ among
