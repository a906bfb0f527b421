"""A tabular benchmark: measured values of the architectures of a space."""

from __future__ import annotations

import difflib
import fnmatch
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from archgrad.errors import ArchgradError, unknown
from archgrad.genotype import Genotype
from archgrad.spaces.space import Space
from archgrad.tables.coding import Coding

Architecture = Genotype | str | int
"""A genotype, its text in the space's notation, or its index in the benchmark."""

DATASETS = ("cifar10", "cifar100", "in16")
"""The first parts of column names that are data sets; in16 is ImageNet16-120."""

ENUMERABLE = 2_000_000
"""The size of a space up to which all its architectures are listed."""

_COLUMN = re.compile(
    rf"(?:(?P<dataset>{'|'.join(DATASETS)})_)?(?P<metric>.+?)(?:_(?P<fidelity>(?:eps|s)?\d+(?:\.\d+)?))?"
)


class Column(NamedTuple):
    """A column name's parts, None where it lacks one: ``cifar10_test_200`` is the test accuracy after 200 epochs.

    Fidelities are epochs (``200``), strengths of an attack in 1/255 (``eps1``) or severities of a corruption (``s3``).
    """

    dataset: str | None
    metric: str
    fidelity: str | None

    @classmethod
    def parse(cls, name: str) -> Column:
        """The parts of a column name."""
        match = _COLUMN.fullmatch(name)
        return cls(match["dataset"], match["metric"], match["fidelity"]) if match else cls(None, name, None)

    def __str__(self) -> str:
        return "_".join(part for part in self if part is not None)


class Standing(NamedTuple):
    """A value among all architectures of a table."""

    value: float
    rank: int
    """1 for the best; equal values share a rank."""
    of: int
    """The number of architectures with a value."""
    percentile: float
    """Percentage of them that are not better."""


@dataclass(frozen=True)
class Entry:
    """A row of a table in short."""

    index: int
    architecture: str
    value: float


@dataclass(frozen=True, eq=False)
class Table:
    """Architectures of a space with named columns of values; accuracies are in %.

    ``codes``: see `Coding`. ``index``: the benchmark's own numbers. ``isomorph``: the smallest index of the
    architectures that the benchmark holds for the same network. Missing values are NaN.
    """

    name: str
    space: Space
    codes: Int[np.ndarray, "architectures slots"]
    index: Int[np.ndarray, " architectures"]
    isomorph: Int[np.ndarray, " architectures"]
    columns: Mapping[str, Float[np.ndarray, " architectures"]]
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", np.ascontiguousarray(self.codes, dtype=np.int64))
        if len(self._row_of_code) < len(self) or len(self._row_of_index) < len(self):
            what, seen = ("architecture", self.codes) if len(self._row_of_code) < len(self) else ("index", self.index)
            unique, counts = np.unique(seen, axis=0, return_counts=True)
            raise ArchgradError(f"table {self.name!r}: the {what} {unique[counts > 1][0]} has more than one row")

    @classmethod
    def of(cls, space: Space, columns: Mapping[str, Callable[[Genotype], float]], name: str = "measured") -> Table:
        """Every architecture of a small space with the values that functions give it."""
        if space.count > ENUMERABLE:
            raise ArchgradError(f"space {space.name!r} has {space.count:,} architectures, too many to list")
        coding = Coding(space)
        codes = np.array(list(itertools.product(*map(range, coding.sizes.tolist()))))
        genotypes = [coding.decode(tuple(code)) for code in codes.tolist()]
        index = np.arange(len(codes))
        values = {column: np.array([float(f(g)) for g in genotypes]) for column, f in columns.items()}
        return cls(name, space, codes, index, index, values, source="computed")

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {self.space.name}, {len(self):,} architectures, {len(self.columns)} columns)"

    @cached_property
    def coding(self) -> Coding:
        """How ``codes`` are to be read."""
        return Coding(self.space)

    @cached_property
    def _row_of_code(self) -> dict[bytes, int]:
        return {code.tobytes(): row for row, code in enumerate(self.codes)}

    @cached_property
    def _row_of_index(self) -> dict[int, int]:
        return {index: row for row, index in enumerate(self.index.tolist())}

    @cached_property
    def class_rows(self) -> Int[np.ndarray, " architectures"]:
        """For every row that of the first architecture of its isomorphism class that the table has."""
        _, first, inverse = np.unique(self.isomorph, return_index=True, return_inverse=True)
        rows: Int[np.ndarray, " architectures"] = first[inverse]
        return rows

    def find(self, architecture: Architecture) -> int | None:
        """The row of an architecture, None if the table lacks it; refuses text that is none of the space."""
        if isinstance(architecture, str):
            text = architecture.strip()
            if not text.isdecimal() or len(text) == len(self.coding.slots):
                return self.find(self.space.parse(text))
            architecture = int(text)
        if isinstance(architecture, Genotype):
            code = np.array(self.coding.encode(architecture), dtype=np.int64)
            return self._row_of_code.get(code.tobytes())
        return self._row_of_index.get(int(architecture))

    def row(self, architecture: Architecture) -> int:
        """The row of an architecture; refuses one that the table lacks."""
        row = self.find(architecture)
        if row is None:
            shown = self.space.format(architecture) if isinstance(architecture, Genotype) else architecture
            raise ArchgradError(f"table {self.name!r} has no architecture {shown} (it has {len(self):,})")
        return row

    def rows(self, architectures: Architecture | Iterable[Architecture] | None) -> Int[np.ndarray, " chosen"]:
        """The rows of one or several architectures; None stands for all."""
        if architectures is None:
            return np.arange(len(self))
        if isinstance(architectures, Genotype | str | int | np.integer):
            architectures = [architectures]
        return np.array([self.row(architecture) for architecture in architectures], dtype=np.int64)

    def genotype(self, row: int) -> Genotype:
        """The architecture in a row."""
        return self.coding.decode(tuple(self.codes[row].tolist()))

    def values(self, metric: str) -> Float[np.ndarray, " architectures"]:
        """A column, or the mean of all columns that match a pattern: ``cifar10_*_s?`` is that over the corruptions."""
        if metric not in self.columns:
            if matching := fnmatch.filter(self.columns, metric):
                mean: Float[np.ndarray, " architectures"] = np.mean([self.columns[m] for m in matching], axis=0)
                return mean
            # Hundreds of columns would bury the close ones.
            known = difflib.get_close_matches(metric, self.columns, n=8, cutoff=0.3) or list(self.columns)[:8]
            raise unknown(f"metric of the table {self.name!r}", metric, known)
        return self.columns[metric]

    def value(self, architecture: Architecture, metric: str) -> float:
        """A measured value, NaN where it is missing."""
        return float(self.values(metric)[self.row(architecture)])

    def standing(self, architecture: Architecture, metric: str, *, lowest: bool = False) -> Standing:
        """An architecture's value and its place among all; ``lowest``: small values are good."""
        values, value = self.values(metric), self.value(architecture, metric)
        if math.isnan(value):
            raise ArchgradError(f"table {self.name!r} has no {metric} for this architecture")
        known = int(np.count_nonzero(~np.isnan(values)))
        better = int(np.count_nonzero(values < value if lowest else values > value))
        return Standing(value, better + 1, known, 100 * (known - better) / known)

    def rank(self, architecture: Architecture, metric: str, *, lowest: bool = False) -> int:
        """1 for the best architecture."""
        return self.standing(architecture, metric, lowest=lowest).rank

    def percentile(self, architecture: Architecture, metric: str, *, lowest: bool = False) -> float:
        """Percentage of the architectures that are not better; 100 for the best."""
        return self.standing(architecture, metric, lowest=lowest).percentile

    def show(self, architecture: Architecture, metrics: Iterable[str] | None = None) -> dict[str, Standing]:
        """The standing in every column, or those named, that has a value."""
        row = self.row(architecture)
        index = int(self.index[row])
        chosen = list(self.columns) if metrics is None else list(metrics)
        return {m: self.standing(index, m) for m in chosen if not math.isnan(self.values(m)[row])}

    def best(self, metric: str, count: int = 1, *, lowest: bool = False) -> list[Entry]:
        """The best architectures, best first; equal values in the order of their indices."""
        if count < 1:
            raise ArchgradError(f"table {self.name!r}: count must be 1 or more, got {count}")
        values = self.values(metric)
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.lexsort((self.index[known], values[known] if lowest else -values[known]))]
        return [Entry(int(self.index[r]), self.text(int(r)), float(values[r])) for r in order[:count]]

    def text(self, row: int) -> str:
        """The architecture in a row, in the space's notation."""
        return self.space.format(self.genotype(row))

    def where(self, keep: Bool[np.ndarray, " architectures"]) -> Int[np.ndarray, " chosen"]:
        """The indices of the architectures for which ``keep`` is true."""
        chosen: Int[np.ndarray, " chosen"] = self.index[keep]
        return chosen
