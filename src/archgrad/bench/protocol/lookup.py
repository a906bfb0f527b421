"""Scores looked up in a tabular benchmark instead of trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from archgrad import tables
from archgrad.bench.statistics.results import Result, Results
from archgrad.genotype import Genotype
from archgrad.tables import Table

PRIMARY = "value in the table"
"""What such a score is called."""

COST = {"parameters": ("params_m", 1e6), "flops": ("flops_m", 1e6)}
"""What of a network's cost a table may hold: column, and what brings it to ones."""


@dataclass(frozen=True)
class LookUp:
    """Columns of a table as scores.

    ``source``: a table, its name or its file. ``columns``: benchmark in the results → column of the table, or a pattern
    as of `Table.values`. A column may hold ``{setting}``, which is replaced by every one of ``settings``, as in
    ``{"cifar10": "cifar10_test_{setting}"}`` with settings 12 and 200.
    """

    source: Table | str
    columns: Mapping[str, str]
    settings: tuple[str, ...] = ("table",)

    @cached_property
    def table(self) -> Table:
        """The table; ArchgradError if there is none of that name."""
        return tables.load(self.source) if isinstance(self.source, str) else self.source

    @cached_property
    def values(self) -> dict[tuple[str, str], Float[np.ndarray, " architectures"]]:
        """(benchmark, setting) → the scores of all architectures; ArchgradError for columns that the table lacks."""
        return {
            (benchmark, setting): self.table.values(column.replace("{setting}", setting))
            for benchmark, column in self.columns.items()
            for setting in self.settings
        }

    def results(
        self, method: str, seed: int, genotype: Genotype | str | int, *, of: str = "", **known: Any
    ) -> Iterator[Result]:
        """The scores of what a search found. ``of``: put before the benchmarks' names. ``known``: further fields."""
        row = self.table.row(genotype)
        columns = self.table.columns
        known |= {name: float(scale * columns[c][row]) for name, (c, scale) in COST.items() if c in columns}
        for (benchmark, setting), scores in self.values.items():
            yield Result(
                method,
                f"{of}{benchmark}",
                setting,
                seed,
                score=float(scores[row]),
                genotype=self.table.text(row),
                **known,
            )


def from_table(
    table: Table | str,
    metrics: Mapping[str, str] | Sequence[str],
    found: Iterable[tuple[str, int, Genotype | str | int]],
    *,
    settings: Sequence[str] = ("table",),
    title: str | None = None,
) -> Results:
    """The results of searches whose scores stand in a table.

    ``metrics``: the columns of `LookUp`; a list takes the columns' names for the benchmarks'. ``found``: (method, seed,
    genotype) of each search.
    """
    columns = metrics if isinstance(metrics, Mapping) else {name: name for name in metrics}
    look = LookUp(table, columns, tuple(map(str, settings)))
    every = (result for method, seed, genotype in found for result in look.results(method, seed, genotype))
    return Results.of(every, title=title or f"Searches in the table {look.table.name}", primary=PRIMARY)
