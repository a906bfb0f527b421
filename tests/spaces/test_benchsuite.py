"""The benchmark suite's spaces against its definition, and auxiliary skip connections against sums by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archgrad.errors import ArchgradError
from archgrad.spaces.benchsuite import SPACES, benchsuite
from archgrad.spaces.darts import OPERATIONS, Darts

SIZES = {"wide": (18, 4, 4), "deep": (7, 18, 4), "single_cell": (26, 1, 8)}
SMALL = {"wide": {"channels": 4, "cells": 4}, "deep": {"channels": 2, "cells": 18}, "single_cell": {"channels": 4}}
WEIGHTS = {  # by hand: see test_weights_of_the_supernets
    ("wide", "regular"): 1_399_168,
    ("wide", "no_skip"): 1_347_328,
    ("deep", "regular"): 991_392,
    ("deep", "no_skip"): 983_552,
    ("single_cell", "regular"): 1_002_960,
    ("single_cell", "no_skip"): 959_696,
    ("wide", "all_skip"): 1_451_008,
    ("deep", "all_skip"): 999_232,
    ("single_cell", "all_skip"): 1_046_224,
}
PUBLISHED = {"wide": (1_500_002, 48_454), "deep": (1_030_684, 30_912), "single_cell": (1_082_548, 35_244)}
"""All parameters of the published program's networks, and those of the linear layers of its attention."""


@pytest.mark.parametrize("name", SPACES)
def test_the_nine_spaces_are_those_of_the_suite(name: str) -> None:
    subspace, operation_set = name.split("-")
    space, (channels, cells, steps) = SPACES[name](), SIZES[subspace]
    assert space == benchsuite(subspace, operation_set)
    assert space.name == name
    assert space.supernet_size == space.network_size == (channels, cells)
    assert space.steps == steps
    expected = [o for o in OPERATIONS if not (operation_set == "no_skip" and o == "skip_connect")]
    assert list(space.operations) == expected
    assert space.auxiliary_skip == (operation_set == "all_skip")
    kinds, edges = (["reduce"], 44) if subspace == "single_cell" else (["normal", "reduce"], 14)
    assert {kind: len(group.edges) for kind, group in space.groups.items()} == dict.fromkeys(kinds, edges)
    supernet = space.supernet()
    assert sum(supernet.sites.values()) == cells
    assert supernet.sites["reduce"] == min(cells, 2)
    classifier = supernet.network.classifier
    assert classifier.in_features == 4 * channels * (2 if subspace == "single_cell" else 4)


@pytest.mark.parametrize("key", WEIGHTS)
def test_weights_of_the_supernets(key: tuple[str, str]) -> None:
    """Σ over cells of edges · (6 C² + 102 C), skip connections at stride 2 (C²), preprocessing, stem, classifier.

    Per edge: sep 3×3 and 5×5 have 2 C² + (2·9 and 2·25) C weights, dil 3×3 and 5×5 C² + (9 and 25) C; BN has none.
    Auxiliary skip connections at stride 2 have C² again.
    """
    space = benchsuite(*key)
    channels, cells = space.supernet_size
    stem = 3 * channels
    total, outputs = stem * (3 * 9 + 2), [stem, stem]
    for number in range(cells):
        reduction = number in (cells // 3, 2 * cells // 3)
        channels *= 2 if reduction else 1
        edges = space.steps * (space.steps + 3) // 2
        total += edges * (6 * channels**2 + 102 * channels) + sum(outputs[-2:]) * channels
        skips = ("skip_connect" in space.candidates) + space.auxiliary_skip
        total += skips * 2 * space.steps * channels**2 if reduction else 0
        outputs.append(4 * channels)
    total += (outputs[-1] + 1) * 10
    assert sum(p.numel() for p in space.supernet().weights()) == total == WEIGHTS[key]


@pytest.mark.parametrize("subspace", PUBLISHED)
def test_published_sizes_count_what_a_search_may_not_use(subspace: str) -> None:
    """Auxiliary skips, of both kinds of cell 8 alphas and a weight per edge, attention over 8 candidates, layers."""
    space, (published, linear) = benchsuite(subspace, "all_skip"), PUBLISHED[subspace]
    edges = 2 * len(space.groups["reduce"].edges)
    attention = 4 * 8 * 8 + 4 * 8  # four projections of 8 candidates
    assert published == WEIGHTS[subspace, "all_skip"] + edges * (8 + 1) + attention + linear


def test_an_auxiliary_skip_stands_beside_every_edge_of_the_supernet() -> None:
    """One-hot mixtures: state_j = Σ chosen operation(source) + Σ skip(source), by the supernet's own modules."""
    torch.manual_seed(0)
    space = Darts(steps=2, multiplier=2, kinds=("reduce",), auxiliary_skip=True)
    supernet = replace(space, channels=4, cells=1).supernet().double()
    cell = supernet.network.cells[0]
    genotype = space.random(torch.Generator().manual_seed(1))
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    seen: dict[str, torch.Tensor] = {}
    cell.graph.register_forward_hook(lambda _, inputs, outputs: seen.update(inputs=inputs, outputs=outputs))
    supernet(x, supernet.one_hot(genotype))
    states = list(seen["inputs"])
    group, kept = space.groups["reduce"], genotype.choices["reduce"]
    for incoming in group.incoming.values():
        total = torch.zeros((), dtype=torch.float64)
        for number in incoming:
            source = states[group.edges[number].source]
            for name in (*kept[number], "auxiliary_skip"):
                total = total + cell.graph.operations[number][name](source)
        states.append(total)
    for ours, expected in zip(seen["outputs"], states[2:], strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("subspace", SIZES)
def test_settled_networks_have_the_skip_beside_every_kept_edge(subspace: str) -> None:
    """As many parameters and FLOPs as the formula says, and as many terms as kept edges twice."""
    space, plain = (replace(benchsuite(subspace, name), **SMALL[subspace]) for name in ("all_skip", "regular"))
    genotype = space.random(torch.Generator().manual_seed(3))
    network = space.network(genotype, unreached=True)
    for cell in network.cells:
        assert sorted(cell.graph.places) == sorted(2 * [n for n, names in enumerate(_kept(cell, genotype)) if names])
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval().to("meta")(torch.empty(1, 3, 16, 16, device="meta"))
    flops = counter.get_total_flops() // 2 + 10
    cost = space.cost(genotype, image_size=16, unreached=True)
    assert cost == (sum(p.numel() for p in network.parameters()), flops)
    same = plain.parse(genotype.to_json().replace("-all_skip", "-regular"))
    reductions = [cell.graph for cell in network.cells if cell.graph.group.name == "reduce"]
    added = 0
    for graph in reductions:
        width = next(m for m in graph.modules() if isinstance(m, nn.BatchNorm2d)).num_features
        strided = sum(1 for n, names in enumerate(genotype.choices["reduce"]) if names and graph.strides[n] == 2)
        added += strided * (width**2 + 2 * width)
    assert cost.parameters - plain.cost(same, unreached=True).parameters == added


def _kept(cell, genotype):
    return genotype.choices[cell.graph.group.name]


def test_a_settled_supernet_is_the_network_of_the_genotype() -> None:
    space = benchsuite("single_cell", "all_skip")
    genotype = space.random(torch.Generator().manual_seed(0))
    settled = replace(space, channels=4).supernet(affine=True).settle(genotype)
    network = replace(space, channels=4).network(genotype)
    count = [sum(p.numel() for p in net.parameters()) for net in (settled, network)]
    assert count[0] == count[1] == replace(space, channels=4).parameters(genotype)


def test_notation_of_one_kind_of_cell_and_mistakes() -> None:
    space = benchsuite("single_cell", "no_skip")
    genotype = space.random(torch.Generator().manual_seed(0))
    text = space.format(genotype)
    assert text.startswith("Genotype(reduce=[")
    assert text.endswith("reduce_concat=range(6, 10))")
    assert space.parse(text) == genotype
    with pytest.raises(ArchgradError, match="unknown field of a DARTS genotype 'normal'"):
        space.parse(text.replace("Genotype(", "Genotype(normal=[], "))
    with pytest.raises(ArchgradError, match="4 cells include normal cells, but this space has reduce cells only"):
        replace(space, cells=4).supernet()
    with pytest.raises(ArchgradError, match="unknown kind of cell 'reduction'"):
        Darts(kinds=("reduction",))
    with pytest.raises(ArchgradError, match="kinds must be normal, reduce or both"):
        Darts(kinds=())
    with pytest.raises(ArchgradError, match="unknown subspace 'wid'"):
        benchsuite("wid")
    with pytest.raises(ArchgradError, match="unknown operation set 'noskip'"):
        benchsuite("wide", "noskip")
