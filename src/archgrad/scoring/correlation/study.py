"""The rank-correlation study: scores against measured accuracies, with size as a baseline throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from jaxtyping import Bool, Float

from archgrad.errors import ArchgradError
from archgrad.foreign.columns import as_text
from archgrad.runs import atomic_write
from archgrad.scoring.correlation import statistics
from archgrad.scoring.correlation.targets import Targets, targets_of
from archgrad.tables import Table

BANDS = 4
LEAST = 8
"""Cells that a size band needs for its correlation to say anything."""


@dataclass(frozen=True, eq=False)
class CorrelationInterval:
    """A correlation per score and target, with the ends of its 95 % bootstrap interval."""

    value: Float[np.ndarray, "scores targets"]
    low: Float[np.ndarray, "scores targets"]
    high: Float[np.ndarray, "scores targets"]


@dataclass(frozen=True, eq=False)
class Study:
    """Correlations of proxies with targets over the cells that both tables hold.

    ``partial``: Spearman given the number of parameters, see `statistics.given`. ``bands``: Spearman among cells of
    similar size, from the smallest to the largest, NaN for bands of too few or of cells that all score the same.
    ``edges``: the bands' ranges of parameters.
    """

    proxies: list[str]
    targets: list[str]
    cells: int
    spearman: CorrelationInterval
    kendall: CorrelationInterval
    partial: CorrelationInterval
    bands: Float[np.ndarray, "bands scores targets"]
    edges: list[tuple[float, float]]
    counts: list[int]

    def rows(self) -> list[dict[str, str | float]]:
        """One row per proxy and target."""
        return [
            {
                "proxy": proxy,
                "target": target,
                **{
                    f"{name}{end}": float(array[i, j])
                    for name, interval in (
                        ("spearman", self.spearman),
                        ("kendall", self.kendall),
                        ("partial", self.partial),
                    )
                    for end, array in (("", interval.value), ("_low", interval.low), ("_high", interval.high))
                },
                **{f"band_{k + 1}": float(band[i, j]) for k, band in enumerate(self.bands)},
            }
            for i, proxy in enumerate(self.proxies)
            for j, target in enumerate(self.targets)
        ]

    def write(self, path: Path | str) -> Path:
        """The rows as Parquet or CSV."""
        path = Path(path)
        if path.suffix not in (".parquet", ".csv"):
            raise ArchgradError(f"{path}: correlations are written as .parquet or .csv")
        sink = pa.BufferOutputStream()
        if path.suffix == ".csv":
            rows = [{name: as_text(value) for name, value in row.items()} for row in self.rows()]
            pa.csv.write_csv(pa.Table.from_pylist(rows), sink)
        else:
            pa.parquet.write_table(pa.Table.from_pylist(self.rows()), sink)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, sink.getvalue().to_pybytes())
        return path


def correlate(
    scores: Table,
    table: Table,
    *,
    dataset: str = "cifar10",
    proxies: Sequence[str] | None = None,
    given: str = "params",
    bootstrap: int = 500,
    bands: int = BANDS,
    seed: int = 0,
) -> Study:
    """Correlate the columns of one table with the targets of another.

    ``scores``: as `archgrad.scoring.score` makes it. ``given``: the column that partial correlations and bands are
    taken by. Cells without a value in either table are left out.
    """
    names = [*dict.fromkeys([*(scores.columns if proxies is None else proxies), given])]
    for name in names:
        scores.values(name)  # refuses unknown ones
    x, goals = _of_both(scores, table, names, dataset)
    y, size, average = goals.values, x[names.index(given)], goals.averaged
    samples = statistics.resamples(x.shape[1], bootstrap, seed)
    edges, inside = size_bands(size, bands)
    explained = statistics.explained_by(size)
    by_band = [
        average(statistics.spearman(x[:, band], y[:, band]))
        if band.sum() >= LEAST
        else np.full((len(names), len(goals.targets)), np.nan)
        for band in inside
    ]
    return Study(
        proxies=names,
        targets=goals.names,
        cells=x.shape[1],
        spearman=_interval(
            average(statistics.spearman(x, y)), [average(statistics.spearman(x[:, s], y[:, s])) for s in samples]
        ),
        kendall=_interval(
            average(statistics.kendall(x, y)), [average(tau) for tau in statistics.kendall_bootstrap(x, y, samples)]
        ),
        partial=_interval(
            average(statistics.given(x, y, explained)),
            [average(statistics.given(x[:, s], y[:, s], explained[s])) for s in samples],
        ),
        bands=np.stack(by_band),
        edges=edges,
        counts=[int(band.sum()) for band in inside],
    )


def _of_both(
    scores: Table, table: Table, names: Sequence[str], dataset: str
) -> tuple[Float[np.ndarray, "scores cells"], Targets]:
    """The scores and the targets of the cells that have a value of everything in both tables."""
    found = [table.find(scores.genotype(row)) for row in range(len(scores))]
    mine = np.array([row for row, other in enumerate(found) if other is not None], dtype=np.int64)
    theirs = np.array([other for other in found if other is not None], dtype=np.int64)
    if not len(mine):
        raise ArchgradError(f"tables {scores.name!r} and {table.name!r} have no architecture in common")
    goals = targets_of(table, theirs, dataset)
    x = np.stack([scores.columns[name][mine] for name in names])
    known = ~(np.isnan(x).any(0) | np.isnan(goals.values).any(0))
    if known.sum() < LEAST:
        raise ArchgradError(f"correlate: only {known.sum()} cells have all values, at least {LEAST} are needed")
    return x[:, known], replace(goals, values=goals.values[:, known])


def size_bands(
    size: Float[np.ndarray, " cells"], count: int
) -> tuple[list[tuple[float, float]], list[Bool[np.ndarray, " cells"]]]:
    """Up to ``count`` bands of about as many cells each; cells of equal size are in the same band."""
    limits = np.unique(np.quantile(size, np.linspace(0, 1, count + 1)[1:], method="higher"))
    place = np.searchsorted(limits, size)
    inside = [place == number for number in range(len(limits))]
    return [(float(size[band].min()), float(size[band].max())) for band in inside], inside


def _interval(
    value: Float[np.ndarray, "scores targets"], draws: list[Float[np.ndarray, "scores targets"]]
) -> CorrelationInterval:
    if not draws:
        nothing = np.full_like(value, np.nan)
        return CorrelationInterval(value, nothing, nothing)
    low, high = np.quantile(np.stack(draws), [0.025, 0.975], axis=0)
    return CorrelationInterval(value, low, high)
