"""Genotypes are drawn with the frequencies of the mixture."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import torch

from archgrad import Supernet, spaces
from archgrad.choice import Site
from archgrad.context import Context
from archgrad.discretise import Sampled
from archgrad.formulas.settling import inclusion
from archgrad.genotype import Edge, Group, Kept
from archgrad.relaxation import StraightThroughGumbel

DRAWS = 800


class Decision(Site):
    def settle(self, kept: Kept) -> torch.nn.Module:
        return torch.nn.Identity()


def within(count: int, p: float) -> bool:
    """4 standard errors."""
    return abs(count / DRAWS - p) < 4 * math.sqrt(max(p * (1 - p), 1e-3) / DRAWS)


def test_candidates_have_their_softmax_probability() -> None:
    net = spaces.get("nasbench201", channels=4, cells=1).supernet()
    alpha = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    p = alpha.softmax(-1)
    kept = [Sampled()({"cell": alpha}, Context(net, seed=s)).choices["cell"] for s in range(DRAWS)]
    for edge in range(6):
        counts = Counter(k[edge][0] for k in kept)
        for o, name in enumerate(net.groups["cell"].operations):
            assert within(counts[name], float(p[edge, o]))


def test_edges_stay_by_what_they_have_to_offer() -> None:
    """``none`` is never kept, and an edge that is mostly ``none`` seldom stays."""
    ops = ("none", "x", "y")
    group = Group("g", tuple(Edge(s, 3, ops) for s in range(4)), keep=2, excluded=frozenset({"none"}))
    net = Supernet(Decision(group))
    alpha = torch.tensor([[3.0, 0, 1], [0, 2, 0], [0, 0, 0], [1, 0, 0]])
    p = alpha.softmax(-1)
    stays = inclusion(p[:, 1:].sum(-1).double(), 2)
    kept = [Sampled()({"g": alpha}, Context(net, seed=s)).choices["g"] for s in range(DRAWS)]
    assert all(sum(map(len, k)) == 2 and "none" not in itertools.chain(*k) for k in kept)
    for edge in range(4):
        assert within(sum(bool(k[edge]) for k in kept), float(stays[edge]))
        share = float(p[edge, 1] / p[edge, 1:].sum() * stays[edge])
        assert within(sum(k[edge] == ("x",) for k in kept), share)
    tilted = {"g": alpha, "g@edges": torch.tensor([[20.0], [0], [0], [20]])}
    for seed in range(20):
        found = Sampled()(tilted, Context(net, seed=seed)).choices["g"]
        assert [bool(names) for names in found] == [True, False, False, True]


def test_inclusion_is_the_sum_over_orders_and_adds_up() -> None:
    q = torch.tensor([0.5, 0.2, 0.2, 0.1], dtype=torch.double)
    for keep in (1, 2, 3):
        expected = torch.zeros(4).double()
        for order in itertools.permutations(range(4), keep):
            chance, left = 1.0, 1.0
            for e in order:
                chance, left = chance * float(q[e]) / left, left - float(q[e])
            expected[list(order)] += chance
        torch.testing.assert_close(inclusion(q, keep), expected, rtol=1e-4, atol=1e-5)
        assert abs(float(inclusion(q, keep).sum()) - keep) < 1e-9
    assert torch.equal(inclusion(q, 4), torch.ones(4).double())
    certain = torch.tensor([0.0, 1.0, 0.0], dtype=torch.double)
    torch.testing.assert_close(inclusion(certain, 2), torch.tensor([0.5, 1, 0.5]).double(), atol=1e-4, rtol=0)


def test_pruned_candidates_are_never_drawn_and_hard_mixtures_settle() -> None:
    net = spaces.get("darts", channels=4, cells=3).supernet()
    masks = {name: group.mask.clone() for name, group in net.groups.items()}
    masks["normal"][:, 4:] = False
    for seed in range(20):
        context = Context(net, masks=masks, seed=seed)
        for rule in (Sampled(), Sampled(StraightThroughGumbel(1.0))):
            found = rule(dict(net.alphas.items()), context).choices
            assert not {"sep_conv_3x3", "dil_conv_3x3"} & set(itertools.chain(*found["normal"]))
            net.space.check(rule(dict(net.alphas.items()), context))
