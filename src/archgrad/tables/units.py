"""On which scale accuracies stand in a file, as far as their values tell: fractions, percent or per mille."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from archgrad.distributed import note
from archgrad.errors import ArchgradError
from archgrad.tables.table import Column

Columns = Mapping[str, Float[np.ndarray, " architectures"]]

_NAMES = ("acc", "accuracy", "top1", "top5", "clean")
_OTHER = re.compile(
    r"latency|energy|intensity|loss|time|seconds|params?|parameters|flops|macs|memory|size|rank|score|std|var|count|seeds?"
)
_STANDARD = re.compile(r"clean|test|val|valid|validation|train|acc|accuracy|top1|top5")
"""Accuracies that no table has below 1 %: those on images as they are."""

SCALES = ((0.0, 1.0, 100.0, "fractions"), (1.0, 100.0, 1.0, "percent"), (100.0, 1000.0, 0.1, "per mille"))
"""Above which value and up to which the largest accuracy lies, what brings it to percent, and the scale's name."""


def is_accuracy(name: str) -> bool:
    """Whether a column is an accuracy: one of a data set, or one that says so.

    >>> [is_accuracy(name) for name in ("cifar10_test_200", "val_acc_12", "cifar10_fpga_energy", "params_m")]
    [True, True, False, False]
    """
    words = name.lower().split("_")
    if any(_OTHER.fullmatch(word) for word in words):
        return False
    return Column.parse(name).dataset is not None or any(word in _NAMES for word in words)


def highest(columns: Columns) -> dict[str, float]:
    """Accuracy → its largest value, for those that have any."""
    known = {name: values for name, values in columns.items() if is_accuracy(name) and not np.isnan(values).all()}
    return {name: float(np.nanmax(values)) for name, values in known.items()}


def in_percent(columns: Columns, where: str) -> dict[str, Float[np.ndarray, " architectures"]]:
    """The columns with accuracies in %; what was read as another scale is said.

    The largest accuracy tells: up to 1 all are fractions, above 100 per mille. Refuses accuracies that are on no scale,
    or on different ones.
    """
    most = highest(columns)
    if not most:
        return dict(columns)
    top = max(most, key=lambda name: most[name])
    found = next((scale for scale in SCALES if most[top] <= scale[1]), None)
    if found is None:
        raise ArchgradError(f"{where}: {top} reaches {most[top]:g}, but accuracies must be in %: give the scale")
    lower, _, factor, name = found
    for column, value in most.items():
        if 0 < value <= lower and any(_STANDARD.fullmatch(word) for word in column.lower().split("_")):
            raise ArchgradError(
                f"{where}: {column} ends at {value:g} and {top} at {most[top]:g}: accuracies on two scales; "
                "bring all to %, and give the scale 1"
            )
    if factor != 1:
        note(f"{where}: accuracies up to {most[top]:g} are read as {name}")
    return {c: v * factor if c in most else v for c, v in columns.items()}
