"""S1 to S4: the published sets, and candidates that an edge lacks get nothing from any component."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from archgrad import data, search, spaces
from archgrad.context import Alphas, Clock, Context
from archgrad.discretise import Strongest, Threshold
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.operations import Noise
from archgrad.regularisers import BetaDecay, DirichletAnchor, Entropy, ZeroOne
from archgrad.relaxation import (
    Composite,
    Dirichlet,
    GumbelSoftmax,
    RandomPath,
    ReinMax,
    Sigmoid,
    Softmax,
    StraightThroughGumbel,
)
from archgrad.roles import Regulariser, Relaxation
from archgrad.spaces import RobustDarts
from archgrad.supernet import Supernet

S1, S2, S3, S4 = (spaces.get(f"robust_darts_s{n}") for n in (1, 2, 3, 4))
RELAXATIONS: list[Relaxation] = [
    Softmax(), Sigmoid(), GumbelSoftmax(), StraightThroughGumbel(), Dirichlet(), ReinMax(), RandomPath(),
    Composite(Dirichlet(), StraightThroughGumbel()), Composite(Sigmoid(), GumbelSoftmax()), Dirichlet(per="site"),
    ReinMax(per="site"),
]  # fmt: skip
REGULARISERS: list[Regulariser] = [
    ZeroOne(), BetaDecay(weight=2.0), DirichletAnchor(), DirichletAnchor(distance="l2"), Entropy()
]  # fmt: skip


def name(component: object) -> str:
    return type(component).__name__


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return replace(S1, channels=2, cells=3).supernet()


def drawn(supernet: Supernet, scale: float = 1.0, missing: float | None = None) -> dict[str, Tensor]:
    """Random alphas; ``missing`` stands where there is no candidate."""
    g = torch.Generator().manual_seed(0)
    alphas = {n: scale * torch.randn(a.shape, generator=g, dtype=torch.float64) for n, a in supernet.alphas.items()}
    if missing is not None:
        alphas = {n: a.masked_fill(~supernet.masks[n], missing) for n, a in alphas.items()}
    return {n: a.requires_grad_() for n, a in alphas.items()}


def test_the_sets_are_those_that_were_published() -> None:
    assert {e.candidates for s in (S2,) for g in s.groups.values() for e in g.edges} == {
        ("skip_connect", "sep_conv_3x3")
    }
    assert {e.candidates for g in S3.groups.values() for e in g.edges} == {("none", "skip_connect", "sep_conv_3x3")}
    assert {e.candidates for g in S4.groups.values() for e in g.edges} == {("noise", "sep_conv_3x3")}
    normal, reduce = (S1.groups[g].edges for g in ("normal", "reduce"))
    assert all(len(e.candidates) == 2 for e in (*normal, *reduce))
    counted = {g: {op: sum(op in e.candidates for e in S1.groups[g].edges) for op in S1.operations} for g in S1.groups}
    assert counted["normal"] == {"skip_connect": 12, "dil_conv_3x3": 6, "dil_conv_5x5": 4, "sep_conv_3x3": 4,
                                 "max_pool_3x3": 2, "avg_pool_3x3": 0}  # fmt: skip
    assert counted["reduce"] == {"skip_connect": 6, "dil_conv_3x3": 2, "dil_conv_5x5": 5, "sep_conv_3x3": 1,
                                 "max_pool_3x3": 8, "avg_pool_3x3": 6}  # fmt: skip
    by_ends = {(e.source, e.target): e.candidates for e in reduce}
    assert by_ends[2, 4] == ("skip_connect", "dil_conv_3x3")
    assert by_ends[0, 5] == ("max_pool_3x3", "avg_pool_3x3")


def test_each_has_the_size_of_two_operations_per_edge() -> None:
    assert {s.count for s in (S1, S2, S3, S4)} == {(180 * 2**8) ** 2} == {2_123_366_400}


def test_published_searches_of_s1_and_s3_found_genotypes_of_these_spaces(real_data: Callable[[str], Path]) -> None:
    with gzip.open(real_data("darts/robustdarts_runs.csv.gz"), "rt") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        space = spaces.get(f"robust_darts_{row['space']}")
        genotype = space.parse(json.dumps({group: json.loads(row[group]) for group in space.groups}))
        assert space.parse(space.format(genotype)) == genotype
    assert len(rows) == 208
    assert {row["space"] for row in rows} == {"s1", "s3"}


@pytest.mark.parametrize("relaxation", RELAXATIONS, ids=name)
@pytest.mark.parametrize("missing", [0.0, 50.0, -torch.inf])
@pytest.mark.parametrize("masks", [True, False], ids=["masks", "supernet alone"])
def test_no_relaxation_gives_weight_to_missing_candidates(
    supernet: Supernet, relaxation: Relaxation, missing: float, masks: bool
) -> None:
    alphas = drawn(supernet, missing=missing)
    context = Context(supernet, Clock(1, 3, 2, 5), masks=supernet.masks if masks else {})
    mixture = relaxation(alphas, supernet.sites, context)
    for group, weights in mixture.items():
        mask = supernet.masks[group].expand(weights.shape)
        assert torch.isfinite(weights).all()
        assert (weights[~mask] == 0).all()
        assert not mixture.active[group][~mask].any()
        if not isinstance(relaxation, Sigmoid | RandomPath):
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        if weights.requires_grad and missing > -torch.inf:
            direction = torch.randn(weights.shape, dtype=weights.dtype, generator=torch.Generator().manual_seed(1))
            (gradient,) = torch.autograd.grad((weights * direction).sum(), alphas[group])
            assert torch.isfinite(gradient).all()
            assert (gradient[~supernet.masks[group]] == 0).all()
            assert (gradient != 0).any()


@pytest.mark.parametrize("regulariser", REGULARISERS, ids=name)
@pytest.mark.parametrize("relaxation", RELAXATIONS[:6], ids=name)
def test_no_regulariser_sees_missing_candidates(
    supernet: Supernet, regulariser: Regulariser, relaxation: Relaxation
) -> None:
    values, context = [], Context(supernet)
    for missing in (-3.0, 0.0, 8.0):
        alphas = drawn(supernet, missing=missing)
        value = regulariser(alphas, relaxation(alphas, supernet.sites, context), context)
        gradients = torch.autograd.grad(value, list(alphas.values()), allow_unused=True)
        for gradient, mask in zip(gradients, supernet.masks.values(), strict=True):
            assert gradient is not None
            assert torch.isfinite(gradient).all()
            assert (gradient[~mask] == 0).all()
        values.append(value.item())
    assert values[0] == pytest.approx(values[1], rel=1e-12) == pytest.approx(values[2], rel=1e-12)
    dense = drawn(supernet, missing=0.0)
    blind = regulariser(dense, relaxation(dense, supernet.sites), Context())  # counts what is not there
    if not isinstance(relaxation, StraightThroughGumbel | ReinMax) or not isinstance(regulariser, Entropy):
        assert blind.item() != pytest.approx(values[0], rel=1e-6) or isinstance(regulariser, DirichletAnchor)


def favoured(supernet: Supernet, genotype: Genotype) -> Alphas:
    return {
        g: 3.0 * rows[0].double().masked_fill(~supernet.masks[g], 2.0) + 2.0 * ~supernet.masks[g]
        for g, rows in supernet.one_hot(genotype).items()
    }


@pytest.mark.parametrize("rule", [Strongest(), Threshold()], ids=name)
def test_discretisations_settle_on_existing_candidates(supernet: Supernet, rule: Strongest | Threshold) -> None:
    """Missing candidates have the largest alphas, and neither win nor take a share."""
    for seed in range(5):
        genotype = S1.random(torch.Generator().manual_seed(seed))
        assert rule(favoured(supernet, genotype), Context(supernet)) == genotype


def test_pruned_edges_get_nothing_and_fully_pruned_ones_are_left_out(supernet: Supernet) -> None:
    masks = {g: m.clone() for g, m in supernet.masks.items()}
    masks["normal"][3] = False
    masks["normal"][0] = False
    context = Context(supernet, masks=masks)
    alphas = drawn(supernet)
    for rule in (Strongest(), Threshold(threshold=0.0)):
        kept = rule(alphas, context).choices["normal"]
        assert kept[0] == kept[3] == ()
        assert len(kept[1]) == 1  # the only way left into node 2
        assert [len(kept[2]), len(kept[4])] == [1, 1]
    for relaxation in RELAXATIONS:
        if isinstance(relaxation, RandomPath):
            continue
        mixture = relaxation(alphas, supernet.sites, context)
        weights = mixture["normal"]
        assert torch.isfinite(weights).all()
        assert (weights[:, [0, 3]] == 0).all()
        assert not mixture.active["normal"][:, [0, 3]].any()
        (gradient,) = torch.autograd.grad(
            (weights * torch.randn_like(weights)).sum(), alphas["normal"], retain_graph=True
        )
        assert torch.isfinite(gradient).all()
        assert (gradient[[0, 3]] == 0).all()
        for regulariser in REGULARISERS:
            penalty = regulariser(alphas, mixture, context)
            found = torch.autograd.grad(penalty, list(alphas.values()), retain_graph=True, allow_unused=True)
            assert all(g is None or torch.isfinite(g).all() for g in found)
            assert torch.isfinite(penalty)


def test_noise_costs_nothing_and_is_part_of_the_network() -> None:
    genotype = S4.random(torch.Generator().manual_seed(0))
    network = replace(S4, channels=4, cells=3).network(genotype)
    assert any(isinstance(m, Noise) for m in network.modules())
    assert sum(p.numel() for p in network.parameters()) == replace(S4, channels=4, cells=3).parameters(genotype)
    assert replace(S4, channels=4, cells=3).flops(genotype, image_size=8) < replace(S4, channels=4, cells=3).flops(
        genotype
    )
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)


def test_a_genotype_of_another_subspace_is_refused() -> None:
    genotype = S2.random(torch.Generator().manual_seed(0))
    with pytest.raises(ArchgradError, match=r"unknown operation at node \d of normal 'skip_connect'"):
        S4.parse(S2.format(genotype))
    with pytest.raises(ArchgradError, match="belongs to the space 'robust_darts_s2', not 'robust_darts_s1'"):
        S1.check(genotype)
    with pytest.raises(ArchgradError, match=r"unknown subspace of robust_darts 'S5'"):
        RobustDarts(subspace="S5")
    with pytest.raises(ArchgradError, match=r"unknown field of the space 'robust_darts_s1' 'candidates'"):
        spaces.get("robust_darts_s1", candidates=("none",))
    with pytest.raises(ArchgradError, match="steps must be a whole number, from 1 to 4"):
        RobustDarts(subspace="S1", steps=5)


def test_what_is_recorded_of_alphas_has_no_weight_where_there_is_no_candidate() -> None:
    images = data.from_tensors(torch.randn(8, 3, 8, 8), torch.arange(8) % 2, torch.randn(2, 3, 8, 8), torch.arange(2))
    result = search(
        replace(S1, channels=2, cells=3), "random_genotype", images, batch_size=2, device="cpu", progress=False
    )
    for group, alphas in result.alphas.items():
        assert (np.isneginf(alphas[0]) == ~S1.groups[group].mask.numpy()).all()
