"""The user's tables: found by name in one directory, imported into it from published files."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

from archgrad import spaces
from archgrad.data.load import directory
from archgrad.errors import ArchgradError, unknown
from archgrad.options import require_absent
from archgrad.spaces.space import Space
from archgrad.tables import files
from archgrad.tables.natsbench import read_natsbench
from archgrad.tables.robustness import read_robbench, read_robustness_data
from archgrad.tables.table import Table
from archgrad.tables.units import highest


def available() -> dict[str, Path]:
    """Name → file of all tables in the data directory and its sub-directories."""
    root = directory()
    found = [path for suffix in files.SUFFIXES for pattern in ("*", "*/*") for path in root.glob(pattern + suffix)]
    return {path.stem: path for path in sorted(found, reverse=True)}


def load(
    path: str | Path, *, space: str | Space | None = None, scale: float | None = None, key: str | None = None
) -> Table:
    """A table from a Parquet or CSV file, or by its name in the data directory.

    ``space``: needed where the file does not say it. ``scale``: multiplies all values, as 100 for fractions; accuracies
    in a table are in %, to which they are brought where their values tell the scale and none is given. ``key``: the
    column that says which architecture a row is. Raises ArchgradError for unknown names and damaged files; never runs
    code from a file.
    """
    given = Path(path).expanduser()
    if given.suffix not in files.SUFFIXES:
        known = available()
        if str(path) in known:
            given = known[str(path)]
        elif not os.path.exists(given):
            if not known:
                nothing = f"{directory()} holds none; import one or set ARCHGRAD_DATA"
                raise ArchgradError(f"no table {str(path)!r}: {nothing}")
            raise unknown("table", str(path), known)
    return files.read(given, space=spaces.get(space) if isinstance(space, str) else space, scale=scale, key=key)


def save(table: Table, path: str | Path | None = None) -> Path:
    """Write a table, by default into the data directory under its name; returns the file."""
    return files.write(table, Path(path) if path else directory() / "tables" / f"{table.name}.parquet")


def import_table(
    source: str | Path,
    name: str | None = None,
    *,
    space: str | Space | None = None,
    scale: float | None = None,
    key: str | None = None,
    trust: bool = False,
) -> Table:
    """Read published files of any known layout, write them into the data directory, and return the table.

    Known are Parquet and CSV files of our schema, the directory of the robustness data set (``meta.json``), the JSON
    file of NAS-RobBench-201, and the files of NATS-Bench and NAS-Bench-201 (``trust``: see `read_natsbench`).
    ``space``, ``scale`` and ``key`` are for Parquet and CSV (see `load`), and refused with the others, which say all
    that by themselves. Accuracies above 100 % are refused.
    """
    path = Path(source).expanduser()
    if not os.path.exists(path):
        raise ArchgradError(f"{path}: no such file or directory")
    if name is not None and (not name or Path(name).name != name):
        raise ArchgradError(f"a table's name must be a plain file name, got {name!r}")
    if path.suffix not in files.SUFFIXES:
        require_absent("is for Parquet and CSV files", space=space, scale=scale, key=key)
    if (path / "meta.json").exists():
        table = read_robustness_data(path)
    elif path.suffix == ".json":
        table = read_robbench(path)
    elif path.suffix in files.SUFFIXES:
        table = load(path, space=space, scale=scale, key=key)
        _require_percent(table, path, scale)
    elif path.suffix in (".pth", ".pbz2") or (path / "meta.pickle.pbz2").exists():
        table = read_natsbench(path, trust=trust)
    else:
        raise ArchgradError(
            f"{path}: not a known layout: .parquet or .csv, a directory with meta.json (robustness data set), "
            ".json (NAS-RobBench-201), .pickle.pbz2 or a directory of them (NATS-Bench), .pth (NAS-Bench-201)"
        )
    table = table if name is None else replace(table, name=name)
    save(table)
    return table


def _require_percent(table: Table, path: Path, scale: float | None) -> None:
    """Refuse accuracies that a wrong scale has brought above 100 %."""
    most = highest(table.columns)
    name = max(most, key=lambda column: most[column], default="")
    if name and most[name] > 100:
        fitting = (scale or 1.0) / 10 ** math.ceil(math.log10(most[name] / 100)) if math.isfinite(most[name]) else 0.1
        raise ArchgradError(
            f"{path}: {name} reaches {most[name]:g}, but accuracies must be in %: import it with --scale {fitting:g}"
        )
