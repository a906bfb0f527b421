"""TransNAS-Bench-101: the table's cells, notations, and the published stack."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.operations import FactorizedReduce
from archgrad.spaces.transnasbench101 import GROUP, PAIRS, GrowingCell, Nothing, plan

SPACE = spaces.get("transnasbench101")
ALL = ["".join(digits) for digits in itertools.product("0123", repeat=6)]


@pytest.fixture(scope="module")
def table(real_data: Callable[[str], Path]) -> list[dict[str, Any]]:
    return pq.read_table(real_data("other/transnas101_micro.parquet")).to_pylist()


def test_the_space_has_4096_cells() -> None:
    assert SPACE.count == len(ALL) == len({SPACE.parse(digits) for digits in ALL}) == 4096


def test_all_cells_of_the_table_parse_and_are_different(table: list[dict[str, Any]]) -> None:
    rows = table
    cells = {SPACE.parse(row["arch"]) for row in rows}
    assert len(cells) == len(rows) == 4096
    for row in rows:
        digits = SPACE.digits(SPACE.parse(row["arch"]))
        assert row["arch"] == f"({','.join(digits)})"


def test_digits_mean_in_the_table_what_they_mean_here(table: list[dict[str, Any]]) -> None:
    """The 169 cells in which no way leads from input to output are those whose network sees nothing of the image.

    No other reading of the digits, and no other order of the edges, gives them all one and the same accuracy.
    """
    rows, tasks = table, ("val_class_scene", "val_class_object")
    unconnected = [row for row in rows if not connected(SPACE.parse(row["arch"]))]
    assert len(unconnected) == 169
    for task in tasks:
        assert len({row[task] for row in unconnected}) == 1
    assert sum(row["val_class_scene"] == unconnected[0]["val_class_scene"] for row in rows) == 169
    accuracy = {row["arch"]: row["val_class_object"] for row in rows}
    means = [sum(a for cell, a in accuracy.items() if cell.count(digit) >= 3) for digit in "23"]
    assert means[1] > 1.1 * means[0]  # 3×3 convolutions see more than 1×1 convolutions


def connected(genotype: Genotype) -> bool:
    filled = {0}
    for (source, target), names in zip(PAIRS, genotype.choices[GROUP], strict=True):
        if source in filled and names != ("none",):
            filled.add(target)
    return 3 in filled


def test_all_notations_name_the_same_cell() -> None:
    genotype = SPACE.parse("64-41414-1_02_333")
    assert SPACE.format(genotype) == "64-41414-1_02_333"
    assert SPACE.digits(genotype) == "102333"
    assert [names[0] for names in genotype.choices[GROUP]] == [
        "skip_connect", "none", "nor_conv_1x1", "nor_conv_3x3", "nor_conv_3x3", "nor_conv_3x3"
    ]  # fmt: skip
    for text in ("102333", "1_02_333", "(1,0,2,3,3,3)", "(1, 0, 2, 3, 3, 3)", genotype.to_json()):
        assert SPACE.parse(text) == genotype
    for digits in ALL[::37]:
        assert SPACE.digits(SPACE.parse(SPACE.format(SPACE.parse(digits)))) == digits


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be like '64-41414-1_02_333'"),
        ("10233", "six digits from 0 to 3"),
        ("102334", "six digits from 0 to 3"),
        ("1_023_33", "six digits"),
        ("64-41414-basic", "six digits"),
        ("64-14141-1_02_333", "must start with '64-41414'"),
        ("32-41414-1_02_333", "must start with '64-41414'"),
        ("(1,0,2,3,3)", "six digits"),
        ("(1,0,2,3,3,4)", "six digits"),
        ('{"choices": {"cell": []}}', "group 'cell' has 6 edges, got 0"),
    ],
)
def test_bad_texts_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        SPACE.parse(text)


def test_the_stack_doubles_and_halves_three_times() -> None:
    plans = plan(64, 2)
    assert [p.channels for p in plans] == [128] * 4 + [256] * 4 + [512] * 2
    assert [p.read for p in plans] == [64, 128, 128, 128, 128, 256, 256, 256, 256, 512]
    assert [n for n, p in enumerate(plans) if p.stride == 2] == [0, 4, 8]
    network = replace(SPACE, channels=8).network(SPACE.parse("111111"), classes=3)
    x = network.stem(torch.randn(1, 3, 64, 64))
    assert x.shape == (1, 8, 16, 16)
    assert network.cells(x).shape == (1, 64, 2, 2)
    reducing = [m for m in network.modules() if isinstance(m, FactorizedReduce)]
    assert len(reducing) == 3 * 3  # the edges from the input of three cells


def test_parameters_follow_from_the_stack() -> None:
    """One 3×3 convolution from input to output in every cell, written out."""
    widths = [(64, 128), (128, 128)] + [(128, 128)] * 2 + [(128, 256), (256, 256)] + [(256, 256)] * 2 + [(256, 512)]
    widths.append((512, 512))
    stem = 3 * 32 * 9 + 64 + 32 * 64 * 9 + 128
    expected = stem + sum(9 * a * b + 2 * b for a, b in widths) + 512 * 75 + 75
    assert SPACE.parameters(SPACE.parse("000300"), classes=75) == expected


@pytest.mark.parametrize("unreached", [True, False])
@pytest.mark.parametrize("digits", ["333333", "000000", "102333", "120003", "003021", "100000", "010203"])
def test_costs_equal_built_networks(digits: str, unreached: bool) -> None:
    genotype = SPACE.parse(digits)
    for size, channels, cells in (((64, 64), 16, 2), ((37, 50), 6, 1)):
        space = replace(SPACE, channels=channels, cells=cells)
        network = space.network(genotype, unreached=unreached, classes=7)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network.eval().to("meta")(torch.empty(1, 3, *size, device="meta"))
        bias = network.classifier.out_features
        found = sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2 + bias
        assert space.cost(genotype, image_size=size, unreached=unreached, classes=7) == found


@pytest.mark.parametrize("digits", ["000000", "000020", "020000", "300001"])
def test_cells_through_which_nothing_flows_have_their_channels(digits: str) -> None:
    genotype, x = SPACE.parse(digits), torch.randn(2, 3, 37, 29)
    supernet = replace(SPACE, channels=4, cells=2).supernet()
    assert replace(SPACE, channels=4).network(genotype)(x).shape == (2, 10)
    assert replace(SPACE, channels=4).network(genotype, unreached=True)(x).shape == (2, 10)
    assert supernet.settle(genotype)(x).shape == (2, 10)
    assert supernet(x, supernet.one_hot(genotype)).shape == (2, 10)


def test_each_edit_of_one_operation_is_a_neighbour() -> None:
    parent = SPACE.parse("012303")
    for radius, count in ((0, 1), (1, 18), (2, 135), (6, 3**6), (7, 0)):
        assert len(set(SPACE.neighbours(parent, radius))) == count


def test_partial_channels_leave_cells_that_change_the_channels_as_they_are() -> None:
    supernet = replace(SPACE, channels=4, cells=2).supernet()
    cells = [m.cell for m in supernet.network.cells]
    assert [isinstance(cell, GrowingCell) for cell in cells] == [True, False, False, False] * 2 + [True, False]
    for cell in cells:
        cell.narrow(2)
    assert [cell.share for cell in cells] == [1, 2, 2, 2] * 2 + [1, 2]
    assert supernet(torch.randn(2, 3, 32, 32), supernet.uniform()).shape == (2, 10)
    assert any(isinstance(m, Nothing) for m in cells[0].modules())
    assert all(not isinstance(m, nn.Conv2d) or m.in_channels in (4, 8) for m in cells[0].modules())
