"""The DARTS space: published genotypes and numbers, costs against built networks, counts, notation, networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.operations import DropPath
from archgrad.spaces.darts import AuxiliaryHead, Darts, DartsNetwork, plan

SPACE = Darts()
FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")

DARTS_V2 = """DARTS_V2 = Genotype(
    normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)],
    normal_concat=[2, 3, 4, 5],
    reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
            ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)],
    reduce_concat=[2, 3, 4, 5])"""
PDARTS = """Genotype(
    normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), ('dil_conv_5x5', 4)],
    normal_concat=range(2, 6),
    reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2),
            ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)],
    reduce_concat=range(2, 6))"""


def counted(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """On the meta device, where pooling is torch's own: on a CPU it is computed by a convolution."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval().to("meta")(torch.empty(1, 3, *size, device="meta"))
    return sum(
        p.numel() for p in network.parameters()
    ), counter.get_total_flops() // 2 + network.classifier.out_features


@pytest.fixture(scope="module")
def published(real_data: Callable[[str], Path]) -> list[dict]:
    data = json.loads(real_data("darts/genotypes.json").read_text())
    return [entry for entry in data["genotypes"] if entry["darts_space"]]


def test_published_parameters_and_flops() -> None:
    """At 36 channels and 20 cells: P-DARTS 3.43 M and 532 M FLOPs, DARTS (second order) 3.35 M."""
    pdarts = SPACE.parse(PDARTS)
    assert round(SPACE.parameters(pdarts) / 1e6, 2) == 3.43
    assert round(SPACE.flops(pdarts) / 1e6) == 532
    assert round(SPACE.parameters(SPACE.parse(DARTS_V2)) / 1e6, 2) == 3.35


def test_all_published_genotypes_parse_print_and_build(published: list[dict]) -> None:
    entries = published
    assert len(entries) == 250
    x = torch.randn(2, 3, 8, 8)
    for number, entry in enumerate(entries):
        genotype = SPACE.parse(json.dumps({field: entry[field] for field in FIELDS}))
        text = SPACE.format(genotype)
        assert SPACE.parse(text) == SPACE.parse(f"{entry['names'][0]} = {text}") == genotype
        for name in ("normal", "reduce"):
            shown = eval(text, {"Genotype": lambda **fields: fields, "range": range})  # our own text, not a user's
            pairs, original = shown[name], [tuple(pair) for pair in entry[name]]
            assert [sorted(pairs[i : i + 2]) for i in (0, 2, 4, 6)] == [
                sorted(original[i : i + 2]) for i in (0, 2, 4, 6)
            ]
        network = replace(SPACE, channels=2, cells=3).network(genotype)
        assert sum(p.numel() for p in network.parameters()) == replace(SPACE, channels=2, cells=3).parameters(genotype)
        if number % 10 == 0:
            assert network.eval()(x).shape == (2, 10)


SIZES = [("cifar", (32, 32)), ("cifar", (15, 8)), ("imagenet", (64, 96)), ("imagenet", (75, 50))]


@pytest.mark.parametrize(("stem", "size"), SIZES)
@pytest.mark.parametrize("unreached", [True, False])
def test_costs_equal_built_networks(stem: str, size: tuple[int, int], unreached: bool) -> None:
    generator = torch.Generator().manual_seed(size[0])
    for space in (SPACE, Darts(multiplier=2), Darts(steps=3, multiplier=1)):
        for cells in (1, 2, 5):
            small, genotype = replace(space, channels=4, cells=cells, stem=stem), space.random(generator)
            network = small.network(genotype, classes=7, unreached=unreached)
            assert small.cost(genotype, classes=7, image_size=size, unreached=unreached) == counted(network, size)


def test_the_published_size_in_full() -> None:
    genotype = SPACE.parse(PDARTS)
    assert SPACE.cost(genotype) == counted(SPACE.network(genotype), (32, 32))


def test_sizes() -> None:
    assert SPACE.count == (180 * 7**8) ** 2
    assert spaces.get("darts_without_none").count == SPACE.count
    assert Darts(steps=2, multiplier=2).count == (1 * 3 * 7**4) ** 2


def test_120_neighbours_at_one_edit() -> None:
    """Per cell 8·6 other operations and 2·(0+1+2+3) other inputs."""
    parent = SPACE.parse(DARTS_V2)
    found = list(SPACE.neighbours(parent))
    assert len(set(found)) == len(found) == 2 * (8 * 6 + 2 * (0 + 1 + 2 + 3)) == 120
    assert all(SPACE.distance(parent, g) == 1 for g in found)
    assert parent == SPACE.parse(DARTS_V2)


def test_radius_is_the_distance_in_the_graph_of_single_edits() -> None:
    """Rings around a parent equal a breadth-first search over neighbours, in a space small enough for all of it."""
    space = Darts(candidates=("none", "skip_connect", "sep_conv_3x3"), steps=2, multiplier=2)
    parent = space.random(torch.Generator().manual_seed(0))
    seen, frontier, radius = {parent}, [parent], 0
    while frontier:
        assert set(frontier) == set(space.neighbours(parent, radius))
        frontier = list(dict.fromkeys(g for f in frontier for g in space.neighbours(f) if g not in seen))
        seen |= set(frontier)
        radius += 1
    assert len(seen) == space.count == (3 * 2**4) ** 2
    assert not list(space.neighbours(parent, radius))


def test_random_genotypes_keep_two_inputs_per_node_uniformly() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.zeros(14)
    for _ in range(1500):
        kept = SPACE.random(generator).choices["normal"]
        counts += torch.tensor([len(names) for names in kept])
        for incoming in SPACE.groups["normal"].incoming.values():
            assert sum(len(kept[e]) for e in incoming) == 2
    expected = torch.tensor([2 / n for n in (2, 3, 4, 5) for _ in range(n)])
    assert ((counts / 1500 - expected).abs() < 4 * (expected * (1 - expected) / 1500).sqrt() + 1e-6).all()


def test_the_stack_doubles_channels_at_one_and_two_thirds() -> None:
    plans = plan(20, 36, (4, 4), "cifar")
    assert [n for n, p in enumerate(plans) if p.reduction] == [6, 13]
    assert [p.channels for p in plans] == [36] * 6 + [72] * 7 + [144] * 7
    assert (plans[0].before_previous, plans[0].previous) == (108, 108)
    assert (plans[7].before_previous, plans[7].previous, plans[7].after_reduction) == (144, 288, True)
    assert plan(14, 48, (4, 4), "imagenet")[0][2:] == (48, 48, True, 192)


def test_reduction_edges_from_the_inputs_carry_the_stride() -> None:
    supernet = replace(SPACE, channels=4, cells=3).supernet()
    assert supernet.sites == {"normal": 1, "reduce": 2}
    normal, reduce = (supernet.network.cells[i].graph.strides for i in (0, 1))
    assert set(normal) == {1}
    assert [e.source for e, s in zip(SPACE.groups["reduce"].edges, reduce, strict=True) if s == 2] == [0, 1] * 4


def test_the_auxiliary_head_speaks_in_training_only() -> None:
    network = replace(SPACE, channels=4, cells=3).network(SPACE.parse(DARTS_V2), auxiliary=True)
    x = torch.randn(2, 3, 32, 32)
    logits, auxiliary = network(x)
    assert logits.shape == auxiliary.shape == (2, 10)
    assert network.eval()(x).shape == (2, 10)


@pytest.mark.parametrize(("size", "stride"), [(8, 3), (7, 2)])
def test_the_auxiliary_head_pools_as_published(size: int, stride: int) -> None:
    head = AuxiliaryHead(3, 5).double().eval()
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    pooled = nn.AvgPool2d(5, stride=stride)(x.relu())
    assert pooled.shape[-2:] == (2, 2)
    torch.testing.assert_close(head(x), head.classifier(head.features(pooled).flatten(1)))
    assert head(torch.randn(2, 3, 3, 12, dtype=torch.float64)).shape == (2, 5)


def test_drop_path_stands_behind_everything_but_identities() -> None:
    network = replace(SPACE, channels=4, cells=3).network(SPACE.parse(DARTS_V2))
    assert isinstance(network, DartsNetwork)
    for cell in network.cells:
        for place, operation in zip(cell.graph.places, cell.graph.operations, strict=True):
            identity = isinstance(operation, nn.Identity)
            assert identity or isinstance(operation[-1], DropPath)
            assert identity <= (cell.graph.strides[place] == 1)


def text(**changes: object) -> str:
    fields = {"normal": [("skip_connect", i) for _ in range(4) for i in (0, 1)], "normal_concat": [2, 3, 4, 5]}
    fields |= {"reduce": list(fields["normal"]), "reduce_concat": [2, 3, 4, 5]} | changes
    return f"Genotype({', '.join(f'{k}={v!r}' for k, v in fields.items())})"


def pairs(place: int, pair: object) -> list[object]:
    changed: list[object] = [("skip_connect", i) for _ in range(4) for i in (0, 1)]
    changed[place] = pair
    return changed


def test_the_bad_texts_below_are_bad_in_one_place_only() -> None:
    assert SPACE.format(SPACE.parse(text())) == text(normal_concat=range(2, 6), reduce_concat=range(2, 6))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "is not of the form Genotype"),
        ("hello world", "is not of the form Genotype"),
        ("Genotype(normal=[", "is not of the form Genotype"),
        ("3", "is not of the form Genotype"),
        ("x" * 500, r"'xxx.{70,80}xxx' is not of the form"),
        ("Genotype(normal=open('/etc/passwd'))", r"normal must be a list of pairs .*, got open\(…\)"),
        ("Genotype(normal=[], normal_concat=range(1, 2, 3, 4))", r"must be a list of states, got range\(…\)"),
        ("Genotype(**{'normal': []})", "lacks 'normal'|is not of the form"),
        ("Genotype()", "is not of the form Genotype"),
        (text(normal=[]), r"normal needs 4 nodes, got 0"),
        (text(reduce=pairs(0, ("skip_connect", 0))[:7]), "reduce needs two pairs .* per node, got 7"),
        (text(reduce=5), r"reduce must be a list of pairs \(operation, input\), got 5"),
        (text(normal=pairs(3, ("skip_connect", 3))), r"node 3 of normal reads state 3, but it can read 0 to 2"),
        (text(normal=pairs(3, ("skip_connect", -1))), r"reads state -1, but it can read 0 to 2"),
        (text(normal=pairs(3, ("skip_connect", "1"))), "node 3 of normal needs pairs"),
        (text(normal=pairs(3, ("skip_connect", 0))), r"node 3 of normal reads state 0 a second time"),
        (text(normal=pairs(3, ("skip_connect",))), r"node 3 of normal needs pairs"),
        (text(normal=pairs(3, 7)), r"node 3 of normal needs pairs \(operation, input\), got 7"),
        (text(normal=pairs(7, ("sep_conv_3x", 1))), r"unknown operation at node 5 of normal 'sep_conv_3x': did"),
        (text(normal=pairs(7, ("none", 1))), r"unknown operation at node 5 of normal 'none'"),
        (text(normal_concat=[3, 4, 5]), r"normal_concat is \[3, 4, 5\], but cells of this space concatenate \[2, 3"),
        (text(reduce_concat=range(2, 7)), r"reduce_concat is \[2, 3, 4, 5, 6\], but"),
        (text(reduce_concat=5), "reduce_concat must be a list of states, got 5"),
        (text(reduce_concat=["a", 2]), r"reduce_concat must be a list of states, got \['a', 2\]"),
        (text(reduce_concat=[[2], 3]), r"reduce_concat must be a list of states, got \[\[2\], 3\]"),
        (text(normol=[]), "unknown field of a DARTS genotype 'normol': did you mean 'normal'"),
        ("{", "not JSON"),
        ('{"normal": []}', "lacks 'reduce'"),
        ('{"choices": {"normal": []}}', "nothing is said about the group 'reduce'"),
        ('{"choices": []}', "expected an object with a key 'choices'"),
    ],
)  # fmt: skip
def test_bad_texts_are_refused_with_the_reason(bad: str, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        SPACE.parse(bad)


def test_a_threshold_genotype_is_written_as_json() -> None:
    kept = [["sep_conv_3x3"]] + [[]] * 13
    genotype = Genotype.of({"normal": kept, "reduce": kept}, "darts")
    assert SPACE.format(genotype) == genotype.to_json()
    assert SPACE.parse(genotype.to_json()) == genotype
    with pytest.raises(ArchgradError, match="keeps 2 of"):
        list(SPACE.neighbours(genotype))
    network = replace(SPACE, channels=4, cells=3).network(genotype)  # nodes into which nothing flows are zeros
    assert network(torch.randn(2, 3, 9, 9)).shape == (2, 10)


def test_bad_options_are_refused() -> None:
    for make, reason in (
        (lambda: Darts(candidates=("sep_conv_3x",)), "unknown operation 'sep_conv_3x': did"),
        (lambda: Darts(multiplier=5), "multiplier must be a whole number, from 1 to 4, got 5"),
        (lambda: replace(SPACE, cells=0), "darts: cells must be a whole number, from 1 to 10,000, got 0"),
        (
            lambda: spaces.get("darts", channels="4"),
            "darts: channels must be a whole number, .* got '4', which is text",
        ),
        (lambda: replace(SPACE, stem="cifer"), "unknown stem 'cifer': did you mean 'cifar'"),
        (lambda: SPACE.network(Genotype.of({"cell": []}, "nasbench201")), "belongs to the space 'nasbench201'"),
    ):
        with pytest.raises(ArchgradError, match=reason):
            make()
