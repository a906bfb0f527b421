"""The commands ``archgrad table …``: each calls one public function and prints what it returns."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Any

from archgrad import console, tables
from archgrad.console import print_table
from archgrad.errors import require_whole, unknown

TABLE = "nasbench201"
METRIC = "cifar10_test_200"


def import_(
    source: str,
    *,
    name: str | None = None,
    space: str | None = None,
    scale: float | None = None,
    key: str | None = None,
    trust: bool = False,
) -> None:
    """Read a published tabular benchmark and keep it where tables are found by name.

    Args:
        source: Parquet, CSV, NATS-Bench, NAS-Bench-201, NAS-RobBench-201, or the robustness data set's directory
        name: of the table; that of the file by default
        space: of a Parquet or CSV file that does not say it
        scale: multiplies the values of a Parquet or CSV file; accuracies must come to %, as they do by default
        key: the column of a Parquet or CSV file that says which architecture a row is
        trust: the file is its authors', so that what is pickled in it may be opened
    """
    table = tables.import_table(source, name, space=space, scale=scale, key=key, trust=trust)
    kept = tables.directory() / "tables"
    console.say(f"table {table.name}: {len(table):,} architectures of {table.space.name}, {len(table.columns)} columns")
    console.say(f"kept in {kept}")
    console.give(table=table.name, architectures=len(table), space=table.space.name, directory=kept)
    console.give(columns=list(table.columns))


def show(architecture: str, *, table: str = TABLE, metrics: str = "*") -> None:
    """Look an architecture up: every value, and its place among all.

    Args:
        architecture: in the space's notation, or its number in the benchmark
        table: a table by name, or a Parquet or CSV file
        metrics: which columns, as a pattern: cifar10_*, *_pgd_*
    """
    loaded = tables.load(table)
    chosen = fnmatch.filter(loaded.columns, metrics)
    if not chosen:
        raise unknown(f"metric of the table {loaded.name!r}", metrics, list(loaded.columns)[:12])
    row = loaded.row(architecture)
    console.say(f"{loaded.index[row]}  {loaded.text(row)}")
    found = loaded.show(int(loaded.index[row]), chosen)
    values = {name: standing._asdict() for name, standing in found.items()}
    console.give(table=loaded.name, index=loaded.index[row], architecture=loaded.text(row), values=values)
    rows = [[m, f"{s.value:.2f}", f"{s.rank:,} of {s.of:,}", f"{s.percentile:.1f}"] for m, s in found.items()]
    print_table(["metric", "value", "rank", "percentile"], rows)


def best(*, metric: str = METRIC, table: str = TABLE, count: int = 10, lowest: bool = False) -> None:
    """List the best architectures of a table.

    Args:
        metric: a column, or a pattern for the mean of several: cifar10_*_s?
        table: a table by name, or a Parquet or CSV file
        count: how many
        lowest: small values are good
    """
    require_whole("table best", 1, count=count)
    entries = tables.load(table).best(metric, count, lowest=lowest)
    console.give(table=table, metric=metric, best=entries)
    rows = [[str(e.index), f"{e.value:.2f}", e.architecture] for e in entries]
    print_table(["index", metric, "architecture"], rows, left=(2,))


COMMANDS: dict[str, Callable[..., Any]] = {"import": import_, "show": show, "best": best}
