"""How accurate the architectures around an architecture are: its flatness."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from archgrad.errors import ArchgradError
from archgrad.landscape.graph import neighbour_rows
from archgrad.landscape.sampling import sample_neighbours
from archgrad.landscape.surface import METRIC, Source, genotypes, surface
from archgrad.tables import Architecture, Table


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Accuracies of all neighbours of some architectures at one distance.

    ``values``: NaN where there is no value, or it was left out.
    """

    radius: int
    own: Float[np.ndarray, " cells"]
    values: Float[np.ndarray, "cells neighbours"]

    @cached_property
    def pooled(self) -> Float[np.ndarray, " values"]:
        """The neighbours of all cells together; one that is near several cells counts for each."""
        pooled: Float[np.ndarray, " values"] = self.values[~np.isnan(self.values)]
        return pooled

    @property
    def count(self) -> int:
        """How many values are pooled."""
        return len(self.pooled)

    @property
    def mean(self) -> float:
        """Mean of the pooled values, NaN if there are none."""
        return float(self.pooled.mean()) if self.count else math.nan

    @property
    def std(self) -> float:
        """Standard deviation of the pooled values."""
        return float(self.pooled.std()) if self.count else math.nan

    def quantile(self, share: float) -> float:
        """The pooled value below which this share of them lies."""
        return float(np.quantile(self.pooled, share)) if self.count else math.nan

    @cached_property
    def mean_per_cell(self) -> Float[np.ndarray, " cells"]:
        """The mean around every single architecture."""
        known = ~np.isnan(self.values)
        with np.errstate(invalid="ignore"):
            means: Float[np.ndarray, " cells"] = np.where(known, self.values, 0).sum(1) / known.sum(1)
        return means

    def summary(self) -> dict[str, float]:
        """The statistics as plain data."""
        return {
            "radius": self.radius,
            "cells": len(self.own),
            "neighbours": self.count,
            "own_mean": float(np.nanmean(self.own)) if len(self.own) else math.nan,
            "mean": self.mean,
            "std": self.std,
            "min": self.quantile(0),
            "median": self.quantile(0.5),
            "max": self.quantile(1),
        }


def neighbourhood(
    table: Source,
    cells: Architecture | Iterable[Architecture] | None,
    radius: int = 1,
    *,
    metric: str = METRIC,
    merge: bool = False,
    above: float | None = None,
    sample: int | None = None,
    seed: int = 0,
) -> Neighbourhood:
    """The accuracies of all architectures at exactly ``radius`` edits from every one of ``cells``.

    ``table``: a table, or a `Surface` over any space. ``cells``: architectures in any notation; None for the whole
    table. ``merge``: of the neighbours of a cell only one per isomorphism class counts, and none of the cell's own.
    ``above``: leave values out that are not above it (published: 10). ``sample``: for large spaces, this many
    neighbours per cell drawn at random instead of all.

    *Source:* arXiv 2503.10404; it neither merges isomorphs nor samples.
    """
    if isinstance(table, Table) and sample is None:
        rows = table.rows(cells)
        accuracy = table.values(metric)
        found = neighbour_rows(table, rows, radius)
        if merge:
            found = _one_per_class(table, rows, found)
        own, values = accuracy[rows], np.where(found >= 0, accuracy[found], np.nan)
    else:
        own, values = _by_genotype(table, cells, radius, metric, merge, sample, seed)
    if above is not None:
        values = np.where(values > above, values, np.nan)
    return Neighbourhood(radius, own, values)


def _one_per_class(
    table: Table, rows: Int[np.ndarray, " cells"], found: Int[np.ndarray, "cells neighbours"]
) -> Int[np.ndarray, "cells neighbours"]:
    """Classes instead of neighbours, every one once, −1 for what is left over."""
    classes = np.sort(np.where(found >= 0, table.class_rows[found], -1), axis=1)
    repeated = np.zeros_like(classes, dtype=bool)
    repeated[:, 1:] = classes[:, 1:] == classes[:, :-1]
    own = classes == table.class_rows[rows][:, None]
    return np.where(repeated | own, -1, classes)


def _by_genotype(
    source: Source,
    cells: Architecture | Iterable[Architecture] | None,
    radius: int,
    metric: str,
    merge: bool,
    sample: int | None,
    seed: int,
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, "cells neighbours"]]:
    if merge:
        raise ArchgradError("neighbourhood: merging isomorphs needs a table and all neighbours, not a sample")
    if radius < 1:
        raise ArchgradError(f"neighbourhood: the radius must be 1 or more, got {radius}")
    if sample is not None and sample < 1:
        raise ArchgradError(f"neighbourhood: sample must be 1 or more, got {sample}")
    if cells is None:
        if not isinstance(source, Table):
            raise ArchgradError("neighbourhood: name the cells; only a table can stand for all of them")
        cells = source.index.tolist()
    accuracy, centres, rng = surface(source, metric), genotypes(source, cells), np.random.default_rng(seed)
    lists = []
    for centre in centres:
        if sample is None:
            around = list(source.space.neighbours(centre, radius))
        else:
            around = sample_neighbours(source.space, centre, radius, sample, rng)
        lists.append([accuracy(genotype) for genotype in around])
    width = max(map(len, lists), default=0)
    values = np.array([found + [math.nan] * (width - len(found)) for found in lists]).reshape(len(lists), width)
    return np.array([accuracy(centre) for centre in centres]), values


def between(table: Table, low: float, high: float, *, metric: str = METRIC) -> Int[np.ndarray, " chosen"]:
    """The indices of the architectures whose accuracy lies in [low, high]."""
    values = table.values(metric)
    return table.where((values >= low) & (values <= high))
