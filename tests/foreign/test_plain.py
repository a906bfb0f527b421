"""JSON, YAML, arrays and tables that somebody made to harm, or that no one would have thought of."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.foreign import columns, plain
from archgrad.runs import CONFIG, Run

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)
MERGED = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1} '] * 10)}]}}\n" for i in range(1, 12)
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "more than 200,000 values"),
        (MERGED, "more than 200,000 values"),
        ("a: &a [*a]", "an alias stands within what it names"),
        ("a: &a {b: {c: *a}}", "an alias stands within what it names"),
        ("a: " + "[" * 900 + "]" * 900, "nested more than 100 deep"),
        ("a: " + "[" * 100_000, "not YAML"),
        ("2001-99-99", "not YAML"),
        ("a: !!timestamp x", "not YAML"),
        ("a: " + "9" * 5000, "not YAML"),
        ("a: !!python/object/apply:os.system [x]", "not YAML"),
        ("a: 1\na: 2", "stands there twice"),
        ("- 1", "expected a mapping, got list"),
        ("", "expected a mapping, got nothing"),
    ],
)
def test_yaml_is_a_mapping_or_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ArchgradError, match=message) as refused:
        plain.parsed(text, "it")
    assert len(str(refused.value)) < 400
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(ArchgradError, match=message):
        Run.open(tmp_path)


def test_yaml_may_repeat_itself_as_people_do() -> None:
    text = "base: &base {lr: 0.1, epochs: 3}\none: {<<: *base, lr: 0.2}\ntwo: *base\n"
    assert plain.parsed(text, "it") == {
        "base": {"lr": 0.1, "epochs": 3},
        "one": {"lr": 0.2, "epochs": 3},
        "two": {"lr": 0.1, "epochs": 3},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested more than 100 deep"),
        ("[" * 400 + "]" * 400, "nested more than 100 deep"),
        ('{"a":' * 400 + "1" + "}" * 400, "nested more than 100 deep"),
        ("{", "not JSON"),
        ("9" * 5000, "not JSON"),
        (b"\xff\xfe{", "not JSON"),
    ],
)
def test_json_is_shallow_or_one_line(text: str | bytes, message: str) -> None:
    with pytest.raises(ArchgradError, match=message) as refused:
        plain.parsed_json(text, "it")
    assert len(str(refused.value)) < 400


def test_every_line_of_metrics_is_an_object(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("a: 1\n")
    for line in ("5", "[1]", "null", '"text"', '{"epoch": "two"}', "[" * 10_000):
        (tmp_path / "metrics.jsonl").write_text(f'{{"epoch": 0}}\n{line}\n')
        with pytest.raises(ArchgradError, match="line 2"):
            Run.open(tmp_path).history()


def test_arrays_do_not_unpack_to_more_than_the_memory(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("a: 1\n")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, alphas=np.zeros((1, 4_000_000)))
    (tmp_path / "alphas.npz").write_bytes(buffer.getvalue())
    with pytest.raises(ArchgradError, match="unpacks to"):
        Run.open(tmp_path).read_arrays("alphas.npz")
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    with zipfile.ZipFile(tmp_path / "alphas.npz", "w") as packed:
        packed.writestr("alphas.npy", header.ljust(127) + b"\n")
    with pytest.raises(ArchgradError, match="cannot read"):
        Run.open(tmp_path).read_arrays("alphas.npz")


def test_a_parquet_file_of_few_bytes_is_not_a_table_of_billions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"score": pa.array(np.zeros(1000))}), path)
    assert columns.read_parquet(path).num_rows == 1000
    monkeypatch.setattr(columns, "CELLS", 999)
    with pytest.raises(ArchgradError, match="1,000 rows of 1 columns"):
        columns.read_parquet(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "Genotype(normal=list(range(3000000000)), normal_concat=range(2, 6))",
        "Genotype(normal=[], normal_concat=range(3000000000))",
        "Genotype(normal=range(10**30))",
        "Genotype(normal=" + "[" * 10_000 + ")",
        "Genotype(normal=" + "-" * 100_000 + "1)",
        "Genotype(normal=list())",
        '{"normal": ' + "[" * 100_000,
        '{"choices": ' + "[" * 100_000,
        "x" * 1_000_000,
    ],
)
def test_what_a_genotype_says_bounds_what_it_takes(text: str) -> None:
    for name in ("darts", "nasbench201", "nasbench1shot1_1", "transnasbench101"):
        with pytest.raises(ArchgradError):
            spaces.get(name).parse(text)
