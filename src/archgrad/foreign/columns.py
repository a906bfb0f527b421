"""Tables of columns from Parquet and CSV files, and what a program that opens our CSV files makes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from archgrad.errors import ArchgradError
from archgrad.foreign import files, plain

METADATA = b"archgrad"
"""Under which key of a Parquet file's metadata we say what it holds."""

CELLS = 200_000_000
"""Values of a Parquet file: its encodings repeat a value any number of times in a few bytes."""

_FORMULA = re.compile(r"'*[=+@\-\t\r]")
_QUOTED = re.compile(r"'+[=+@\-\t\r]")


def read_parquet(path: Path, columns: Sequence[str] | None = None, **options: Any) -> pa.Table:
    """Some or all columns of a Parquet file, of at most `CELLS` values; ``options`` of pyarrow's ``read_table``."""
    files.require_regular(path)
    try:
        size = pa.parquet.read_metadata(path)
        width = size.num_columns if columns is None else len(columns)
        if size.num_rows * width > CELLS:
            raise ArchgradError(f"{path}: {size.num_rows:,} rows of {width} columns are more than {CELLS:,} values")
        return pa.parquet.read_table(path, columns=columns, partitioning=None, **options)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from None


def read_csv(path: Path, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The columns of a CSV file; ``types`` of some of them, by name."""
    files.require_regular(path)
    try:
        return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types=dict(types)))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, error) from None


def about(table: pa.Table, path: Path) -> dict[str, Any]:
    """What we have written into the metadata of a Parquet file; nothing where another program has written it."""
    return plain.json_object((table.schema.metadata or {}).get(METADATA, b"{}"), f"{path}: its archgrad metadata")


def as_text(value: Any) -> Any:
    """A cell of a CSV file that no spreadsheet takes for a formula: an apostrophe stands before what could be one.

    >>> as_text("=1+2"), as_text("darts"), as_text(-1.5)
    ("'=1+2", 'darts', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_text(value: Any) -> Any:
    """The inverse of `as_text`."""
    return value[1:] if isinstance(value, str) and _QUOTED.match(value) else value


def unreadable(path: Path, error: Exception) -> ArchgradError:
    """One line about a file that is damaged or of another kind."""
    reason = " ".join(str(error).split())
    return ArchgradError(f"{path}: cannot be read as {path.suffix[1:] or 'a table'} ({reason[:200]})")
