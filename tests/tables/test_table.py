"""Look-ups against published values, every notation alike, ranks against sorting."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archgrad import spaces, tables
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.spaces.darts import Darts
from archgrad.tables import Column, Table

SPACE = spaces.get("nasbench201")


@pytest.fixture(scope="module")
def real(real_data: Callable[[str], Path]) -> Callable[..., Table]:
    """Loads a real table."""
    return lambda name, scale=1.0: tables.load(real_data(f"{name}.parquet"), scale=scale)


@pytest.fixture(scope="module")
def nasbench(real: Callable[..., Table]) -> Table:
    return real("nasbench201/nasbench201")


@pytest.fixture(scope="module")
def convolutions() -> Table:
    """NAS-Bench-201 with the number of 3×3 convolutions as its accuracy."""

    def count(genotype: Genotype) -> float:
        return SPACE.format(genotype).count("nor_conv_3x3")

    return Table.of(SPACE, {"convolutions": count})


@pytest.mark.parametrize(
    ("metric", "index", "accuracy"),
    [("cifar10_test_200", 6111, 94.373), ("cifar100_test_200", 9930, 73.513), ("in16_test_200", 857, 47.311)],
)
def test_published_best_cells(nasbench: Table, metric: str, index: int, accuracy: float):
    (best,) = nasbench.best(metric)
    assert (best.index, round(best.value, 3)) == (index, accuracy)
    assert nasbench.rank(index, metric) == 1
    assert nasbench.percentile(index, metric) == 100


def test_published_robustness(real: Callable[..., Table]):
    table = real("robustness/nb201_robustness", scale=1e-3)
    assert table.value(13433, "cifar10_clean") == pytest.approx(0.893)
    assert table.value(13433, "cifar10_pgd_eps1") == pytest.approx(0.336)
    assert len(table) == 15_625  # one row per class became one per cell
    assert len(np.unique(table.isomorph)) == 6_466


def test_every_notation_finds_the_same_row(nasbench: Table):
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    genotype = SPACE.parse(text)
    notations = [9930, "9930", "333133", text, genotype, genotype.to_json(), np.int64(9930)]
    assert {nasbench.row(architecture) for architecture in notations} == {9930}
    assert nasbench.text(9930) == text
    assert nasbench.genotype(9930) == genotype


def test_parameters_of_the_table_are_those_of_the_space(nasbench: Table):
    rng = np.random.default_rng(0)
    for row in rng.integers(15_625, size=20).tolist():
        genotype = nasbench.genotype(row)
        assert SPACE.parameters(genotype) / 1e6 == pytest.approx(nasbench.value(row, "params_m"), rel=1e-5)


def test_rank_and_best_against_sorting(convolutions: Table):
    values = convolutions.values("convolutions")
    for digits in ("000000", "300000", "330303", "333333"):
        better = int((values > digits.count("3")).sum())
        standing = convolutions.standing(digits, "convolutions")
        assert standing.rank == better + 1
        assert standing.percentile == pytest.approx(100 * (values <= digits.count("3")).mean())
    assert [e.value for e in convolutions.best("convolutions", 14)] == [6] + 13 * [5]
    assert convolutions.best("convolutions", lowest=True)[0].value == 0
    assert convolutions.rank("000000", "convolutions", lowest=True) == 1


def test_missing_values_have_no_place():
    table = Table(
        "few",
        SPACE,
        np.array([[0] * 6, [1] * 6, [2] * 6]),
        np.array([5, 7, 9]),
        np.array([5, 7, 9]),
        {"a": np.array([1.0, np.nan, 3.0])},
    )
    assert [entry.index for entry in table.best("a", 3)] == [9, 5]
    assert table.standing(5, "a").of == 2
    assert table.show(7) == {}
    with pytest.raises(ArchgradError, match="no a for this architecture"):
        table.rank(7, "a")
    with pytest.raises(ArchgradError, match=r"'few' has no architecture 6 \(it has 3\)"):
        table.row(6)
    with pytest.raises(ArchgradError, match="has no architecture 333333"):
        table.row("333333")


def test_two_rows_for_one_architecture_are_refused():
    codes, values = np.array([[0] * 6, [0] * 6]), {"a": np.zeros(2)}
    with pytest.raises(ArchgradError, match=r"the architecture \[0 0 0 0 0 0\] has more than one row"):
        Table("twice", SPACE, codes, np.array([0, 1]), np.array([0, 1]), values)
    with pytest.raises(ArchgradError, match="the index 4 has more than one row"):
        Table("twice", SPACE, np.eye(2, 6, dtype=int), np.array([4, 4]), np.array([4, 4]), values)


def test_misspelt_metric_names_the_close_ones(nasbench: Table):
    with pytest.raises(ArchgradError, match="did you mean 'cifar10_test_200'"):
        nasbench.values("cifar10_tst_200")


def test_pattern_is_the_mean_of_its_columns(real: Callable[..., Table]):
    table = real("robustness/nb201_robustness", scale=0.1)
    names = [
        n
        for n in table.columns
        if n.startswith("cifar10_") and Column.parse(n).fidelity in {f"s{i}" for i in range(1, 6)}
    ]
    assert len(names) == 75
    expected = sum(table.value(13433, name) for name in names) / 75
    assert table.value(13433, "cifar10_*_s?") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cifar10_test_200", ("cifar10", "test", "200")),
        ("cifar100_aa_apgd-ce_eps0.5", ("cifar100", "aa_apgd-ce", "eps0.5")),
        ("in16_pgd_eps1", ("in16", "pgd", "eps1")),
        ("cifar10_gaussian_noise_s3", ("cifar10", "gaussian_noise", "s3")),
        ("cifar10_clean", ("cifar10", "clean", None)),
        ("params_m", (None, "params_m", None)),
    ],
)
def test_column_names_take_apart_and_back_together(name: str, parts: tuple[str | None, ...]):
    assert Column.parse(name) == parts
    assert str(Column.parse(name)) == name


def test_codes_go_there_and_back_in_a_space_with_competing_edges():
    space = Darts(candidates=("none", "skip_connect", "sep_conv_3x3"), steps=2, multiplier=2)
    table = Table.of(space, {"skips": lambda g: str(g).count("skip_connect")})
    assert len(table) == space.count == 48**2
    assert len({table.genotype(row) for row in range(len(table))}) == len(table)
    assert all(table.row(table.genotype(row)) == row for row in range(0, len(table), 97))
    assert json.loads(table.genotype(5).to_json())["space"] == "darts"


def test_large_spaces_are_not_listed():
    with pytest.raises(ArchgradError, match="too many to list"):
        Table.of(spaces.get("darts"), {})
