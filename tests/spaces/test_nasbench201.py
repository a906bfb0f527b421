"""NAS-Bench-201: counts and costs of all 15,625 cells, notations, and the two kinds of network."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype

SPACE = spaces.get("nasbench201")
ALL = ["".join(digits) for digits in itertools.product("01234", repeat=6)]


@pytest.fixture(scope="module")
def costs() -> dict[str, tuple[int, int]]:
    return {digits: SPACE.cost(SPACE.parse(digits)) for digits in ALL}


def test_the_space_has_15625_cells() -> None:
    assert SPACE.count == len(ALL) == 15_625
    assert len({SPACE.parse(digits) for digits in ALL}) == 15_625


def test_costs_of_all_cells_follow_the_published_formula(costs) -> None:
    for digits, (parameters, flops) in costs.items():
        ones, threes = digits.count("2"), digits.count("3")
        assert parameters == 73_306 + 28_000 * ones + 243_040 * threes
        assert flops == 7_783_050 + 3_932_160 * ones + 35_389_440 * threes


def test_costs_of_all_cells_equal_the_published_table(costs, real_data: Callable[[str], Path]) -> None:
    table = pq.read_table(
        real_data("nasbench201/nasbench201.parquet"), columns=["ops", "params_m", "flops_m"]
    ).to_pydict()
    assert sorted(table["ops"]) == ALL
    for digits, parameters, flops in zip(table["ops"], table["params_m"], table["flops_m"], strict=True):
        assert costs[digits].parameters / 1e6 == pytest.approx(parameters, rel=1e-6)
        assert costs[digits].flops / 1e6 == pytest.approx(flops, rel=1e-6)


def built(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """On the meta device, where pooling is torch's own: on a CPU it is computed by a convolution."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval().to("meta")(torch.empty(1, 3, *size, device="meta"))
    bias = network.classifier.bias.numel()
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2 + bias


@pytest.mark.parametrize("unreached", [True, False])
@pytest.mark.parametrize("digits", ["333133", "000000", "123433", "300000", "003020"])
def test_costs_equal_built_networks(digits: str, unreached: bool) -> None:
    genotype = SPACE.parse(digits)
    for size, space in (((32, 32), SPACE), ((13, 22), replace(SPACE, channels=6, cells=2))):
        network = space.network(genotype, unreached=unreached, classes=7)
        assert space.cost(genotype, image_size=size, unreached=unreached, classes=7) == built(network, size)


def test_a_cell_without_a_path_costs_only_its_skeleton() -> None:
    for digits in ("333000", "000033", "030020"):
        assert SPACE.parameters(SPACE.parse(digits), unreached=False) == 73_306


def test_the_cell_is_the_published_sum_over_three_nodes() -> None:
    """y1 = o01(x), y2 = o02(x) + o12(y1), y3 = o03(x) + o13(y1) + o23(y2)."""
    torch.manual_seed(0)
    network = replace(SPACE, channels=4, cells=1).network(SPACE.parse("324213")).double().eval()
    cell = network.stages[0].cell
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    o01, o02, o12, o03, o13, o23 = cell.operations
    y1 = o01(x)
    y2 = o02(x) + o12(y1)
    torch.testing.assert_close(cell(x)[0], o03(x) + o13(y1) + o23(y2), rtol=0, atol=1e-12)


def test_each_edit_of_one_operation_is_a_neighbour() -> None:
    parent = SPACE.parse("012340")
    text = str(parent)
    for radius, count in ((0, 1), (1, 24), (2, 240), (3, 1280), (6, 4**6), (7, 0)):
        found = list(SPACE.neighbours(parent, radius))
        assert len(set(found)) == len(found) == count
        assert all(SPACE.distance(parent, g) == radius for g in found)
        changed = {sum(a != b for a, b in zip(SPACE.digits(g), "012340", strict=True)) for g in found}
        assert changed <= {radius}
    assert str(parent) == text


def test_random_genotypes_are_uniform() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = [SPACE.digits(SPACE.random(generator)) for _ in range(5000)]
    for edge in range(6):
        for digit in "01234":
            share = sum(d[edge] == digit for d in drawn) / 5000
            assert share == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 5000) ** 0.5)


def test_text_digits_and_json_name_the_same_cell() -> None:
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    genotype = SPACE.parse(text)
    assert SPACE.format(genotype) == text
    assert SPACE.digits(genotype) == "301423"
    assert SPACE.parse("301423") == SPACE.parse(genotype.to_json()) == SPACE.parse(f"  {text}\n") == genotype
    for digits in ALL[::50]:
        assert SPACE.digits(SPACE.parse(SPACE.format(SPACE.parse(digits)))) == digits


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "neither six digits nor three nodes"),
        ("33313", "must be six digits from 0 to 4"),
        ("3331333", "must be six digits from 0 to 4"),
        ("333135", "must be six digits from 0 to 4"),
        ("|none~0|", "neither six digits nor three nodes"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "node 2 .* needs 2 inputs, got 1"),
        ("|none~0|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 .* needs 1 inputs, got 2"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "'none~1' .* should end with '~0'"),
        ("|none|+|none~0|none~1|+|none~0|none~1|none~2|", "'none' .* should end with '~0'"),
        ("|nor_conv_2x2~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'nor_conv_2x2': did you mean"),
        ("{not json", "not JSON"),
        ("{}", "'{}' is neither six digits nor three nodes"),
        ('{"choices": {}}', "nothing is said about the group 'cell'"),
        ('{"choices": {"cell": 3}}', "every group needs a list of edges"),
        ('{"choices": {"cell": ["none"]}}', "every group needs a list of edges, each a list"),
        ('{"choices": {"cell": [["none"]]}}', "group 'cell' has 6 edges, got 1"),
        ('{"choices": {"cell": [["none"],["none"],["none"],["none"],["none"],["nine"]]}}',
         "'nine': did you mean 'none'"),
        ('{"choices": {"cell": [["none"],["none"],["none"],["none"],["none"],["none"]], "other": []}}',
         "unknown group in the genotype 'other'"),
        ('{"choices": {"cell": [["none","none"],["none"],["none"],["none"],["none"],["none"]]}}', "more than once"),
        ('{"space": "darts", "choices": {"cell": []}}', "belongs to the space 'darts', not 'nasbench201'"),
    ],
)  # fmt: skip
def test_bad_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        SPACE.parse(text)


@pytest.mark.parametrize("kept", [[], ["none", "nor_conv_3x3"]])
def test_only_one_operation_per_edge_has_a_text(kept: list[str]) -> None:
    genotype = Genotype.of({"cell": [["none"]] * 5 + [kept]}, "nasbench201")
    for write in (SPACE.format, SPACE.digits):
        with pytest.raises(ArchgradError, match="edge 5 must keep exactly one operation"):
            write(genotype)


def test_the_supernet_takes_affine_and_track() -> None:
    plain = replace(SPACE, channels=4, cells=1).supernet()
    candidates = [m for m in plain.network.stages[0].modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.weight is None and m.running_mean is not None for m in candidates)
    other = replace(SPACE, channels=4, cells=1).supernet(affine=True, track=False)
    candidates = [m for m in other.network.stages[0].modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(m.weight is not None and m.running_mean is None for m in candidates)
    assert plain.sites == {"cell": 3}
    assert plain.alphas["cell"].shape == (6, 5)


def test_odd_maps_pass_through() -> None:
    assert replace(SPACE, channels=4, cells=1).network(SPACE.parse("333133"))(torch.randn(2, 3, 13, 11)).shape == (
        2,
        10,
    )
