"""Scores looked up in a tabular benchmark instead of trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from pydantic import BeforeValidator, Field, InstanceOf

from archgrad import tables
from archgrad.bench.protocol.document import Document
from archgrad.bench.statistics.results import Result, Results
from archgrad.genotype import Genotype
from archgrad.tables import Table

PRIMARY = "value in the table"
"""What such a score is called."""

COST = {"parameters": ("params_m", 1e6), "flops": ("flops_m", 1e6)}
"""What of a network's cost a table may hold: column, and what brings it to ones."""


class LookUp(Document):
    """Columns of a table as scores.

    ``name``: a table, its name or its file. ``columns``: benchmark in the results → column of the table, or a pattern
    as of `Table.values`. A column may hold ``{setting}``, which is replaced by every one of ``settings``, as in
    ``{"cifar10": "cifar10_test_{setting}"}`` with settings 12 and 200.
    """

    name: str | InstanceOf[Table]
    columns: dict[str, str] = Field(min_length=1, description="a mapping such as {cifar10: cifar10_test_200}")
    settings: tuple[Annotated[str, BeforeValidator(str)], ...] = Field(
        default=("table",), min_length=1, description="a list"
    )

    @cached_property
    def table(self) -> Table:
        """The table; ArchgradError if there is none of that name."""
        return tables.load(self.name) if isinstance(self.name, str) else self.name

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
    look = LookUp(name=table, columns=dict(columns), settings=tuple(map(str, settings)))
    every = (result for method, seed, genotype in found for result in look.results(method, seed, genotype))
    return Results.of(every, title=title or f"Searches in the table {look.table.name}", primary=PRIMARY)
