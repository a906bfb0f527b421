"""An accuracy over a space, whatever it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.spaces.space import Space
from archgrad.tables import Architecture, Table

METRIC = "cifar10_test_200"
"""The column that functions of this package read from a table unless told otherwise."""


class Surface:
    """The accuracy of every architecture of a space by a function: a proxy, a trained supernet, a training.

    Each genotype is evaluated once.
    """

    def __init__(self, space: Space, accuracy: Callable[[Genotype], float]):
        self.space = space
        self._accuracy = accuracy
        self._known: dict[Genotype, float] = {}

    @classmethod
    def of(cls, table: Table, metric: str = METRIC) -> Surface:
        """A column of a table; NaN where the table has no value."""
        values = table.values(metric)

        def accuracy(genotype: Genotype) -> float:
            row = table.find(genotype)
            return float("nan") if row is None else float(values[row])

        return cls(table.space, accuracy)

    def __call__(self, genotype: Genotype) -> float:
        if genotype not in self._known:
            self._known[genotype] = float(self._accuracy(genotype))
        return self._known[genotype]


Source = Table | Surface
"""Where accuracies come from: a tabular benchmark, or a function over a space."""


def surface(source: Source, metric: str) -> Surface:
    """The source as a function of genotypes."""
    return Surface.of(source, metric) if isinstance(source, Table) else source


def genotype(source: Source, architecture: Architecture) -> Genotype:
    """An architecture in any notation as a genotype; an index needs a table."""
    if isinstance(source, Table):
        row = source.find(architecture)
        # A genotype of the space that the table lacks may still be the end of a path.
        if row is not None:
            return source.genotype(row)
        if isinstance(architecture, Genotype):
            return source.space.check(architecture)
        return source.genotype(source.row(architecture))
    if isinstance(architecture, Genotype):
        return source.space.check(architecture)
    if isinstance(architecture, str):
        return source.space.parse(architecture)
    raise ArchgradError(f"architecture {architecture}: only a table knows indices; give a genotype or its text")


def genotypes(source: Source, architectures: Architecture | Iterable[Architecture]) -> list[Genotype]:
    """One or several architectures as genotypes."""
    if isinstance(architectures, Genotype | str | int | np.integer):
        architectures = [architectures]
    return [genotype(source, architecture) for architecture in architectures]
