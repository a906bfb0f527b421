"""What proxies are correlated with: accuracies of a table, and what is derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from archgrad.errors import ArchgradError, unknown
from archgrad.tables import Column, Table

CORRUPTIONS = {
    "weather": ("snow", "fog", "frost"),
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "digital": ("contrast", "brightness", "jpeg_compression"),
}
"""*Source:* CRoZe, arXiv 2306.05031."""

SEVERITIES = ("s1", "s2", "s3", "s4", "s5")


@dataclass(frozen=True, eq=False)
class Target:
    """A name and the rows of values over which correlations are averaged: first inside each group, then over groups."""

    name: str
    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class Targets:
    """All targets of a data set, and the values that they refer to."""

    targets: tuple[Target, ...]
    values: Float[np.ndarray, "values cells"]

    @property
    def names(self) -> list[str]:
        """The names of the targets."""
        return [target.name for target in self.targets]

    def averaged(self, by_value: Float[np.ndarray, "scores values"]) -> Float[np.ndarray, "scores targets"]:
        """From a correlation per row of values to one per target."""
        columns = [np.mean([by_value[:, list(g)].mean(1) for g in target.groups], axis=0) for target in self.targets]
        return np.stack(columns, axis=1)


def targets_of(table: Table, rows: Int[np.ndarray, " cells"], dataset: str = "cifar10") -> Targets:
    """Clean accuracy, every attack at every ε, HRS = 2CR/(C + R) of each, and the groups of corruptions.

    A group's correlation is the mean over its corruptions of the mean over the five severities. ``corruptions`` is that
    over all corruptions of the table, ``corruption_accuracy`` the correlation with the mean accuracy over all of them.
    A table without any of these gives all its columns of the data set as they are.
    """
    columns = {name: Column.parse(name) for name in table.columns}
    columns = {name: column for name, column in columns.items() if column.dataset == dataset}
    if not columns:
        raise ArchgradError(f"table {table.name!r} has no columns of the data set {dataset!r}")
    found: list[Target] = []
    values: list[Float[np.ndarray, " cells"]] = []

    def add(row: Float[np.ndarray, " cells"]) -> int:
        values.append(row)
        return len(values) - 1

    def single(name: str, row: Float[np.ndarray, " cells"]) -> None:
        found.append(Target(name, ((add(row),),)))

    clean = next((name for name, column in columns.items() if column.metric == "clean"), None)
    severe: dict[str, list[int]] = {}
    attacks: list[str] = []
    for name, column in columns.items():
        short = name.removeprefix(f"{dataset}_")
        if column.fidelity in SEVERITIES:
            severe.setdefault(column.metric, []).append(add(table.columns[name][rows]))
        else:
            single(short, table.columns[name][rows])
            if name != clean and clean is not None:
                attacks.append(name)
    for name in attacks:
        assert clean is not None
        short = name.removeprefix(f"{dataset}_")
        single(f"hrs_{short}", harmonic(table.columns[clean][rows], table.columns[name][rows]))
    if severe:
        every = [row for numbers in severe.values() for row in numbers]
        single("corruption_accuracy", np.mean([values[row] for row in every], axis=0))
    groups = {**CORRUPTIONS, "corruptions": tuple(severe)} if severe else {}
    for name, members in groups.items():
        if all(member in severe for member in members):
            found.append(Target(name, tuple(tuple(severe[member]) for member in members)))
    return Targets(tuple(found), np.stack(values))


def harmonic(clean: Float[np.ndarray, " cells"], robust: Float[np.ndarray, " cells"]) -> Float[np.ndarray, " cells"]:
    """HRS, the harmonic mean of clean and robust accuracy; 0 where one is 0."""
    total = clean + robust
    found: Float[np.ndarray, " cells"] = np.divide(2 * clean * robust, total, out=np.zeros_like(total), where=total > 0)
    return found


def chosen(names: Sequence[str], wanted: Sequence[str] | None) -> list[int]:
    """The numbers of some targets."""
    if wanted is None:
        return list(range(len(names)))
    for name in wanted:
        if name not in names:
            raise unknown("target", name, names)
    return [names.index(name) for name in wanted]
