"""Tables as Parquet or CSV files. Reading one never runs code that it contains."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Int

from archgrad import spaces
from archgrad.errors import ArchgradError, unknown
from archgrad.foreign.columns import METADATA, about, as_text, from_text, read_csv, read_parquet
from archgrad.foreign.layout import expected
from archgrad.runs import atomic_write
from archgrad.spaces.space import Space
from archgrad.tables import nasbench201
from archgrad.tables.coding import Coding
from archgrad.tables.table import Table
from archgrad.tables.units import in_percent

SUFFIXES = (".parquet", ".csv")
KEYS = ("architecture", "ops", "normal", "reduce", "index", "isomorph", "uid")
"""Columns that say which architecture a row is; all other numeric columns are values."""

NAMES = {
    "architecture": ("arch", "arch_str", "arch_string", "architecture_str", "nb201-string", "genotype", "cell"),
    "index": ("idx", "arch_index", "arch_idx", "arch_id", "architecture_index", "cell_index", "model_index"),
}
"""Other names of the columns ``architecture`` and ``index``, the likeliest first."""

KEY_HINT = "call it architecture, ops or index, or name it by key (--key)"


def read(path: Path, *, space: Space | None = None, scale: float | None = None, key: str | None = None) -> Table:
    """A table from a Parquet or CSV file.

    A row's architecture is ``architecture`` (the space's notation), ``ops`` (six NAS-Bench-201 digits), ``normal`` and
    ``reduce`` (DARTS, JSON lists of [operation, input]), ``index`` alone (NAS-Bench-201) or ``uid`` (a NAS-Bench-201
    isomorphism class: one row stands for all its cells). A column of another name is the architecture where it is one
    of `NAMES`, or ``key``. ``scale`` multiplies every value, as for accuracies that are not in %; without it accuracies
    are brought to % as their values tell.
    """
    with expected(str(path)):
        return _read(path, space, scale, key)


def _read(path: Path, space: Space | None, scale: float | None, key: str | None) -> Table:
    data = _read_columns(path)
    metadata = about(data, path)
    data = _keyed(data, key, path)
    numeric = [field.name for field in data.schema if _is_number(field.type) and field.name not in KEYS]
    columns = {name: np.asarray(data[name].to_numpy(), dtype=np.float64) * (scale or 1.0) for name in numeric}
    if not len(data) or not columns:
        raise ArchgradError(f"{path}: holds no {'values' if len(data) else 'rows'}; its columns are {listed(data)}")
    if scale is None and not metadata:
        columns = in_percent(columns, str(path))
    name, source = path.stem, str(metadata.get("source", path.name))
    if space is None and "space" in metadata:
        space = spaces.get(str(metadata["space"]))
    keys = set(data.column_names)
    if "uid" in keys:
        index = _integers(data, "uid", path)
        values = {c: dict(zip(index.tolist(), v.tolist(), strict=True)) for c, v in columns.items()}
        if len(set(index.tolist())) < len(index):
            raise ArchgradError(f"{path}: a uid stands in more than one row")
        return nasbench201.table(name, values, source=source, per_class=True)
    if space is None:
        space = _guessed(data)
    if space is None:
        if not keys & {"ops", "normal"} and not ("index" in keys and "architecture" not in keys):
            raise ArchgradError(
                f"{path}: say which space its architectures belong to (space: {', '.join(spaces.SPACES)})"
            )
        space = spaces.get("darts" if "normal" in keys else "nasbench201")
    codes = _codes(data, space, path)
    index = _integers(data, "index", path) if "index" in keys else _index(codes, space)
    if "isomorph" in keys:
        isomorph = _integers(data, "isomorph", path)
    else:
        isomorph = nasbench201.isomorphs()[index] if space.name == "nasbench201" else index
    return Table(name, space, codes, index, isomorph, columns, source)


def write(table: Table, path: Path) -> Path:
    """Write a table as Parquet, or as CSV, which keeps no space and source; replaces the file in one step."""
    if table.space.name not in spaces.SPACES or spaces.get(table.space.name).groups != table.space.groups:
        raise ArchgradError(f"table {table.name!r}: only tables of a space that is known by name can be written")
    data = pa.table(
        {
            "index": table.index,
            "isomorph": table.isomorph,
            "architecture": [table.text(row) for row in range(len(table))],
            **table.columns,
        }
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchgradError(f"{path.parent}: cannot be made ({error.strerror})") from None
    sink = pa.BufferOutputStream()
    if path.suffix == ".csv":
        pa.csv.write_csv(data.rename_columns(list(map(as_text, data.column_names))), sink)
    else:
        says = json.dumps({"space": table.space.name, "source": table.source}).encode()
        pa.parquet.write_table(data.replace_schema_metadata({METADATA: says}), sink)
    atomic_write(path, sink.getvalue().to_pybytes())
    return path


def _read_columns(path: Path) -> Any:
    if path.suffix not in SUFFIXES:
        raise ArchgradError(f"{path}: a table is a file of kind {' or '.join(SUFFIXES)}")
    if not os.path.isfile(path):
        raise ArchgradError(f"{path}: no such file")
    if path.suffix == ".parquet":
        data = read_parquet(path)
    else:
        # Digits such as 041210 are text, whatever they look like.
        data = read_csv(path, dict.fromkeys(("architecture", "ops"), pa.string()))
        data = data.rename_columns(list(map(from_text, data.column_names)))
    if len(set(data.column_names)) < len(data.column_names):
        raise ArchgradError(f"{path}: two columns have the same name; they are {listed(data)}")
    return data


def _keyed(data: Any, key: str | None, path: Path) -> Any:
    """The columns, with the name that is known for the one that says which architecture a row is."""
    names = data.column_names
    if key is not None:
        if key not in names:
            raise unknown(f"column of {path}", key, names)
        return _renamed(data, key, "index" if pa.types.is_integer(data.schema.field(key).type) else "architecture")
    if set(names) & {"architecture", "ops", "index", "uid"} or {"normal", "reduce"} <= set(names):
        return data
    for known, others in NAMES.items():
        for name in others:
            if name in names:
                return _renamed(data, name, known)
    raise ArchgradError(f"{path}: no column says which architecture a row is, among {listed(data)}: {KEY_HINT}")


def _renamed(data: Any, old: str, new: str) -> Any:
    kept = [name for name in data.column_names if name == old or name not in ("architecture", "ops", "index", "uid")]
    return data.select(kept).rename_columns([new if name == old else name for name in kept])


def _guessed(data: Any) -> Space | None:
    """The space whose notation cannot be mistaken."""
    first = str(data["architecture"][0]) if "architecture" in data.column_names else ""
    name = "nasbench201" if first.startswith("|") else "transnasbench101" if first.startswith("64-") else None
    return None if name is None else spaces.get(name)


def listed(data: Any) -> str:
    """The names of columns, the first few of many."""
    names = data.column_names
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _integers(data: Any, name: str, path: Path) -> Int[np.ndarray, " rows"]:
    column = data[name]
    if not pa.types.is_integer(column.type) or column.null_count:
        raise ArchgradError(f"{path}: the column {name!r} must hold a whole number in every row")
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _codes(data: Any, space: Space, path: Path) -> Int[np.ndarray, "rows slots"]:
    names = set(data.column_names)
    if "ops" in names or "architecture" in names:
        texts = data["ops" if "ops" in names else "architecture"].to_pylist()
        to_code = _text_reader(space)
    elif {"normal", "reduce"} <= names:
        pairs = zip(data["normal"].to_pylist(), data["reduce"].to_pylist(), strict=True)
        texts = [f'{{"normal": {normal}, "reduce": {reduce}}}' for normal, reduce in pairs]
        to_code = _text_reader(space)
    else:
        if space.name != "nasbench201":
            raise ArchgradError(f"{path}: no column says which architecture of {space.name} a row is: {KEY_HINT}")
        index = _integers(data, "index", path)
        if index.size and (index.min() < 0 or index.max() >= nasbench201.CELLS):
            raise ArchgradError(f"{path}: an index lies outside 0 to {nasbench201.CELLS - 1}")
        chosen: Int[np.ndarray, "rows slots"] = nasbench201.cells()[index]
        return chosen
    codes = []
    for number, text in enumerate(texts):
        try:
            codes.append(to_code(str(text)))
        except ArchgradError as error:
            raise ArchgradError(f"{path}, row {number}: {error}") from None
    return np.array(codes, dtype=np.int64).reshape(len(codes), len(Coding(space).slots))


def _text_reader(space: Space) -> Callable[[str], tuple[int, ...]]:
    coding = Coding(space)
    digits = frozenset("01234")

    def to_code(text: str) -> tuple[int, ...]:
        # Parsing 15,625 cells one by one takes a second; digits are the code already.
        if space.name == "nasbench201" and len(text) == 6 and digits.issuperset(text):
            return tuple(map(int, text))
        return coding.encode(space.parse(text))

    return to_code


def _index(codes: Int[np.ndarray, "rows slots"], space: Space) -> Int[np.ndarray, " rows"]:
    """The benchmark's numbers where it has any, else those of the rows."""
    return nasbench201.indices(codes) if space.name == "nasbench201" else np.arange(len(codes))
