"""NAS-Bench-1Shot1: counts, conversion to NAS-Bench-101 against 1,000 of its cells, and the two kinds of network."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.spaces import NASBench1Shot1
from archgrad.spaces.nasbench101 import OPERATIONS, Cell101, Module101, network_cost

SPACES = {number: NASBench1Shot1(number) for number in (1, 2, 3)}
Rows = list[tuple[Cell101, dict[str, Any]]]
LABELS = {-1: "input", -2: "output", **dict(enumerate(OPERATIONS))}


@pytest.fixture(scope="module")
def table(real_data: Callable[[str], Path]) -> Rows:
    """Vertices labelled −3 do not exist."""
    found = []
    for row in pq.read_table(real_data("other/nb101_1000.parquet")).to_pylist():
        codes = json.loads(row["ops"])
        keep = [v for v, code in enumerate(codes) if code != -3]
        matrix = [[int(row["adjacency"][len(codes) * i + j]) for j in keep] for i in keep]
        found.append((Cell101.of(matrix, [LABELS[codes[v]] for v in keep]), row))
    return found


def isomorphic(a: Cell101, b: Cell101) -> bool:
    """By trying all orders of the vertices between input and output."""
    size = len(a.ops)
    if size != len(b.ops) or sorted(a.ops) != sorted(b.ops):
        return False
    for middle in itertools.permutations(range(1, size - 1)):
        order = [0, *middle, size - 1]
        if all(a.ops[v] == b.ops[order[v]] for v in range(size)) and all(
            a.matrix[i][j] == b.matrix[order[i]][order[j]] for i in range(size) for j in range(size)
        ):
            return True
    return False


def parents(space: NASBench1Shot1) -> list[list[tuple[int, ...]]]:
    """All ways to choose the parents of blocks and output, by counting them out."""
    wanted = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}[space.number]
    return [list(itertools.combinations(range(node), select)) for node, select in enumerate(wanted, start=1)]


def hashes(space: NASBench1Shot1) -> set[str]:
    """Of all cells of the space without loose ends, counted out."""
    graphs, found = set(), set()
    for chosen in itertools.product(*parents(space)):
        used, last = {len(chosen)}, len(chosen)
        for node in range(last, 0, -1):
            used |= set(chosen[node - 1]) if node in used else set()
        graphs.add(tuple((node, chosen[node - 1]) for node in sorted(used - {0})))
    for graph in graphs:
        numbers = {0: 0, **{node: n for n, (node, _) in enumerate(graph, start=1)}}
        matrix = [[0] * len(numbers) for _ in numbers]
        for node, of in graph:
            for parent in of:
                matrix[numbers[parent]][numbers[node]] = 1
        for ops in itertools.product(OPERATIONS, repeat=len(graph) - 1):
            found.add(Cell101.of(matrix, ["input", *ops, "output"]).hash)
    return found


def test_sizes() -> None:
    """Of decisions; 29,160 is also the number printed for space 2. Without loose ends, and up to isomorphism, fewer."""
    assert {n: s.count for n, s in SPACES.items()} == {1: 14_580, 2: 29_160, 3: 1_312_200}
    assert {n: s.distinct() for n, s in SPACES.items()} == {1: 3_702, 2: 12_474, 3: 135_900}
    for space in SPACES.values():
        graphs = 1
        for ways in parents(space):
            graphs *= len(ways)
        assert space.count == graphs * 3**space.blocks


def test_the_hash_of_every_cell_is_its_key_in_the_benchmark(table: Rows) -> None:
    assert all(cell.hash == row["key"] for cell, row in table)


def test_the_parameters_of_every_cell_are_those_of_the_benchmark(table: Rows) -> None:
    assert all(network_cost(cell).parameters == row["params"] for cell, row in table)


def inside(space: NASBench1Shot1, table: Rows) -> Rows:
    """The cells of the table that the space says it has."""
    found = []
    for cell, row in table:
        with contextlib.suppress(ArchgradError):
            space.from_nasbench101(*cell)
            found.append((cell, row))
    return found


@pytest.mark.parametrize("number", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_cells_of_the_benchmark_are_found_in_the_space_exactly_if_they_are_in_it(number: int, table: Rows) -> None:
    expected = hashes(SPACES[number])
    assert len(expected) == {1: 2_685, 2: 7_773, 3: 55_854}[number]
    assert {row["key"] for _, row in inside(SPACES[number], table)} == {row["key"] for _, row in table} & expected


@pytest.mark.parametrize("number", SPACES)
def test_cells_of_the_benchmark_go_to_the_space_and_back(number: int, table: Rows) -> None:
    space = SPACES[number]
    cells = inside(space, table)
    assert len(cells) == {1: 10, 2: 24, 3: 131}[number]
    for cell, row in cells:
        genotype = space.from_nasbench101(*cell)
        there = space.to_nasbench101(genotype)
        assert len(there.ops) == 7
        assert there.hash == row["key"]
        assert isomorphic(there.pruned(), cell.pruned())
        assert space.parse(json.dumps({"matrix": cell.matrix, "ops": cell.ops})) == genotype
        assert space.parameters(genotype) == row["params"]
        assert space.to_nasbench101(space.from_nasbench101(*there)).hash == row["key"]


@pytest.mark.parametrize("number", SPACES)
def test_every_genotype_goes_to_nasbench101_and_back(number: int) -> None:
    space, g = SPACES[number], torch.Generator().manual_seed(number)
    for _ in range(40):
        genotype = space.random(g)
        cell = space.to_nasbench101(genotype)
        back = space.from_nasbench101(*cell)
        assert isomorphic(space.to_nasbench101(back).pruned(), cell.pruned())
        assert space.from_nasbench101(*space.to_nasbench101(back)) == back
        assert sum(map(sum, cell.matrix)) == {1: 9, 2: 9, 3: 9}[number]


def test_a_cell_by_hand() -> None:
    space = SPACES[1]
    text = "maxpool3x3~0|conv3x3-bn-relu~0,1|conv1x1-bn-relu~0,2|maxpool3x3~1,3|output~2,4"
    genotype = space.parse(text)
    assert space.format(genotype) == text
    assert genotype.choices["parents_4"] == (("block_1", "block_3"),)
    assert "parents_1" not in genotype.choices
    assert "parents_2" not in genotype.choices  # both that there are
    matrix, ops = space.to_nasbench101(genotype)
    assert matrix == ((0, 1, 1, 1, 0, 0, 0), (0, 0, 1, 0, 1, 0, 0), (0, 0, 0, 1, 0, 0, 1), (0, 0, 0, 0, 1, 0, 0),
                      (0, 0, 0, 0, 0, 0, 1), (0, 0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 0, 0))  # fmt: skip
    assert ops[1:5] == ("maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")


def test_channels_are_divided_as_in_the_benchmark() -> None:
    """Three vertices share 128 channels as 43, 43, 42; one that feeds them has the most of theirs."""
    cell = Cell101.of(
        [[0, 1, 0, 0, 0, 1], [0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0] * 6],
        ["input", "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3", "maxpool3x3", "output"],
    )
    assert cell.channels(128)[1:] == [43, 43, 43, 42, 128]
    module = Module101(cell, 16, 128)
    assert module(torch.randn(2, 16, 5, 5)).shape == (2, 128, 5, 5)


@pytest.mark.parametrize("number", SPACES)
def test_costs_equal_built_networks(number: int) -> None:
    g = torch.Generator().manual_seed(number)
    for size, channels, cells in (((32, 32), 8, 2), ((13, 22), 7, 1)):
        space = replace(SPACES[number], channels=channels, cells=cells)
        for _ in range(3):
            genotype = space.random(g)
            network = space.network(genotype, classes=5)
            counter = FlopCounterMode(display=False)
            with torch.no_grad(), counter:
                network.eval().to("meta")(torch.empty(1, 3, *size, device="meta"))
            bias = network.classifier.out_features
            found = sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2 + bias
            assert space.cost(genotype, image_size=size, classes=5) == found


def test_neighbours_change_one_operation_or_move_one_parent() -> None:
    space = SPACES[1]
    parent = space.parse("maxpool3x3~0|maxpool3x3~0,1|maxpool3x3~0,1|maxpool3x3~0,1|output~0,1")
    found = list(space.neighbours(parent))
    assert len(set(found)) == len(found) == 4 * 2 + 2 * 1 + 2 * 2 + 2 * 3
    assert all(space.distance(parent, genotype) == 1 for genotype in found)


def test_a_mixture_weighs_parents_and_outputs() -> None:
    """A parent at weight 0 leaves no trace, and the last convolution sees each output at its weight."""
    space, x = SPACES[2], torch.randn(3, 3, 8, 8, dtype=torch.float64)
    supernet = replace(space, channels=4, cells=1).supernet().double().eval()
    mixture = supernet.uniform().leaf()
    gradients = torch.autograd.grad(supernet(x, mixture).sum(), list(mixture.values()))
    assert all((g != 0).any() for g in gradients)
    cell = supernet.network.stacks[0]
    weights = {g: w.clone() for g, w in supernet.uniform().items()}
    weights["output"][..., 0] = 0
    before = supernet(x, mixture.with_weights(weights))
    for parameter in cell.projections[-1].parameters():
        parameter.data.mul_(3)  # read by the output only
    after = supernet(x, mixture.with_weights(weights))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-12)
    weights["output"][..., 0] = 0.2
    assert (supernet(x, mixture.with_weights(weights)) - before).abs().max() > 1e-6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs 4 blocks .* got 1 entries"),
        ("maxpool3x3~0|maxpool3x3~0,1|maxpool3x3~0,1|maxpool3x3~0,1", "got 4 entries"),
        ("maxpool~0|maxpool3x3~0,1|maxpool3x3~0,1|maxpool3x3~0,1|output~0,1", "of block_1 'maxpool': did you mean"),
        ("maxpool3x3~0|maxpool3x3~0,1|maxpool3x3~0,1|maxpool3x3~0,1|maxpool3x3~0,1", "unknown last entry 'maxpool3x3'"),
        ("maxpool3x3~0|maxpool3x3~0|maxpool3x3~0,1|maxpool3x3~0,1|output~0,1", "needs 2 different parents below 2"),
        ("maxpool3x3~0|maxpool3x3~0,2|maxpool3x3~0,1|maxpool3x3~0,1|output~0,1", "needs 2 different parents below 2"),
        ("maxpool3x3~0|maxpool3x3~1,1|maxpool3x3~0,1|maxpool3x3~0,1|output~0,1", "needs 2 different parents below 2"),
        ("maxpool3x3|maxpool3x3~0,1|maxpool3x3~0,1|maxpool3x3~0,1|output~0,1", "needs 1 different parents below 1"),
        ('{"matrix": 3}', "a NAS-Bench-101 cell is"),
        ('{"matrix": [[0, 1], [1, 0]], "ops": ["input", "output"]}', "1 above the diagonal only"),
        ('{"matrix": [[0, 0], [0, 0]], "ops": ["input", "output"]}', "no way from the input to the output"),
        ('{"matrix": [[0, 1], [0]], "ops": ["input", "output"]}', "needs a square matrix"),
        ('{"matrix": [[0, 1], [0, 0]], "ops": ["input", "out"]}', "must run from 'input' to 'output'"),
        (
            '{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}',
            "the cell is not in this space; its hash in NAS-Bench-101 is",
        ),
    ],
)
def test_bad_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        SPACES[1].parse(text)


def test_bad_options_are_refused() -> None:
    genotype = SPACES[1].random(torch.Generator().manual_seed(0))
    for make, reason in (
        (lambda: NASBench1Shot1(4), "unknown search space of nasbench1shot1 '4'"),
        (lambda: spaces.get("nasbench1shot1"), "unknown space 'nasbench1shot1': did you mean 'nasbench1shot1_"),
        (lambda: SPACES[1].network(genotype, unreached=True), "unreached must be False"),
        (lambda: replace(SPACES[1], cells=0), "nasbench1shot1_1: cells must be a whole number, from 1 to 10,000"),
        (lambda: SPACES[2].check(genotype), "belongs to the space 'nasbench1shot1_1'"),
    ):
        with pytest.raises(ArchgradError, match=reason):
            make()
