"""Tables survive being written and read, and damaged or foreign files say what is wrong with them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archgrad import spaces, tables
from archgrad.errors import ArchgradError
from archgrad.spaces.darts import Darts
from archgrad.tables import Table, files

NORMAL = '[["sep_conv_3x3",0],["skip_connect",1],["skip_connect",0],["sep_conv_3x3",1]]'


def small_table() -> Table:
    codes = np.array([[0, 4, 1, 2, 1, 0], [3, 3, 3, 1, 3, 3], [4, 2, 1, 2, 1, 1]])
    index = np.array([12_000, 9930, 0])
    values = {"cifar10_test_200": np.array([81.5, 94.25, np.nan])}
    return Table("small", spaces.get("nasbench201"), codes, index, index, values, source="by hand")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_there_and_back(tmp_path: Path, suffix: str):
    table = small_table()
    path = files.write(table, tmp_path / f"small{suffix}")
    back = tables.load(path, space="nasbench201")
    assert (back.codes == table.codes).all()
    assert (back.index == table.index).all()
    np.testing.assert_array_equal(back.values("cifar10_test_200"), table.values("cifar10_test_200"))
    assert back.text(0) == table.text(0)


def test_parquet_remembers_space_and_source(tmp_path: Path):
    back = tables.load(files.write(small_table(), tmp_path / "small.parquet"))
    assert (back.space.name, back.source) == ("nasbench201", "by hand")


def test_leading_zeros_of_digits_survive_csv(tmp_path: Path):
    path = tmp_path / "digits.csv"
    path.write_text("ops,cifar10_test_200\n000000,10.0\n041210,81.5\n")
    table = tables.load(path)
    assert table.codes.tolist() == [[0] * 6, [0, 4, 1, 2, 1, 0]]
    assert table.value("041210", "cifar10_test_200") == 81.5
    assert table.value(int(table.index[1]), "cifar10_test_200") == 81.5  # the benchmark's number, from its rule


def test_uid_rows_stand_for_classes_and_scale_brings_to_percent(tmp_path: Path):
    path = tmp_path / "robust.csv"
    path.write_text("uid,cifar10_clean\n0,856\n13433,893\n")
    table = tables.load(path, scale=0.1)
    assert table.value(13433, "cifar10_clean") == pytest.approx(89.3)
    assert set(table.isomorph) == {0, 13433}


def test_index_alone_is_enough(tmp_path: Path):
    path = tmp_path / "indices.csv"
    path.write_text("index,score\n9930,1.5\n0,2.5\n")
    assert tables.load(path).value("333133", "score") == 1.5


TEXT = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("header", "row", "key"),
    [
        ("arch", TEXT, None),
        ("arch_str", TEXT, None),
        ("arch_index", "9930", None),
        ("nr", "9930", "nr"),
        ("x", TEXT, "x"),
    ],
)
def test_key_columns_of_other_names(tmp_path: Path, header: str, row: str, key: str | None):
    path = tmp_path / "keyed.csv"
    path.write_text(f"{header},cifar10_clean\n{row},94.37\n")
    assert tables.load(path, key=key).value("333133", "cifar10_clean") == 94.37
    with pytest.raises(ArchgradError, match=r"unknown column of .*keyed\.csv 'lines'"):
        tables.load(path, key="lines")


def test_an_index_says_nothing_of_other_spaces(tmp_path: Path):
    path = tmp_path / "indices.csv"
    path.write_text("index,score\n9930,1.5\n")
    with pytest.raises(ArchgradError, match="no column says which architecture of transnasbench101 a row is"):
        tables.load(path, space="transnasbench101")


def test_published_transnas_networks(real_data: Callable[[str], Path]):
    table = tables.load(real_data("other/transnas101_micro.parquet"), space="transnasbench101")
    assert len(table) == 4096
    assert table.value("000000", "val_class_scene") == pytest.approx(7.484076)
    assert table.best("val_class_scene")[0].value == pytest.approx(54.936306)
    with pytest.raises(ArchgradError, match=r"transnas101_macro\.parquet, row 0: transnasbench101"):
        tables.load(real_data("other/transnas101_macro.parquet"), space="transnasbench101")


def test_darts_genotypes_in_two_columns(tmp_path: Path):
    path = tmp_path / "darts.parquet"
    pq.write_table(pa.table({"normal": [NORMAL], "reduce": [NORMAL], "clean_acc": [75.5]}), path)
    space = Darts(steps=2, multiplier=2)
    table = tables.load(path, space=space)
    genotype = space.parse(f'{{"normal": {NORMAL}, "reduce": {NORMAL}}}')
    assert table.value(genotype, "clean_acc") == 75.5


def test_published_darts_networks(real_data: Callable[[str], Path]):
    table = tables.load(real_data("robustness/darts_space_advtrained_223.parquet"))
    assert len(table) == 223
    assert table.value(0, "clean_acc") == pytest.approx(75.4, abs=1e-4)
    assert table.row(table.text(100)) == 100


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ops,a\n33313,1.0\n", "row 0: nasbench201: '33313' must be six digits"),
        ("ops,a\n333133,1.0\n333133,2.0\n", "has more than one row"),
        ("architecture,a\n333133,1.0\n", "say which space"),
        ("index,a\n15625,1.0\n", "an index lies outside 0 to 15624"),
        ("index,a\nx,1.0\n", "'index' must hold a whole number"),
        ("uid,a\n0,1.0\n0,2.0\n", "a uid stands in more than one row"),
        ("ops,a\n333133\n", "cannot be read as csv"),
        ("ops,a\n", "holds no rows; its columns are ops, a"),
        ("ops\n333133\n", "holds no values; its columns are ops"),
        ("nr,a\n333133,1.0\n", r"no column says which architecture a row is, among nr, a: .*--key"),
        ("arch,a\nsomething,1.0\n", "say which space"),
        ("ops,a,a\n333133,1.0,2.0\n", "two columns have the same name"),
    ],
)
def test_wrong_files_say_what_is_wrong(tmp_path: Path, content: str, message: str):
    path = tmp_path / "wrong.csv"
    path.write_text(content)
    with pytest.raises(ArchgradError, match=message):
        tables.load(path)


def test_damaged_parquet(tmp_path: Path):
    path = files.write(small_table(), tmp_path / "small.parquet")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArchgradError, match=r"small.parquet: cannot be read as parquet"):
        tables.load(path)


class Bomb:
    """Says so when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


@pytest.mark.parametrize("name", ["bomb.parquet", "bomb.csv", "bomb.json", "bomb.pth", "bomb.pbz2"])
def test_no_file_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ArchgradError):
        tables.import_table(name)
    assert not Path("exploded").exists()


def test_tables_of_unnamed_spaces_are_not_written(tmp_path: Path):
    space = Darts(candidates=("none", "skip_connect"), steps=1, multiplier=1)
    with pytest.raises(ArchgradError, match="only tables of a space that is known by name"):
        files.write(Table.of(space, {"a": lambda g: 0.0}), tmp_path / "own.parquet")
