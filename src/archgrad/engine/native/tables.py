"""The tables by which Python describes a cell to the kernels: the structures of ``csrc/tables.h``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from archgrad.engine.native.recipe import Geometry

Places = npt.NDArray[np.int64]

GEOMETRY = ("present", *Geometry._fields)
FIELDS: dict[str, tuple[str, ...]] = {
    "map": ("values", "stride", "channels", "height", "width", "gradient", "given"),
    "view": (
        *("map", "offset", "channels", "relu", "norm", "track", "gamma", "beta", "running_mean", "running_var"),
        *("batches", "d_gamma", "d_beta", "vectors", "target", "place", "factor", "gradient", "eps", "momentum"),
    ),
    "conv": (
        *("view", "out", "first_member", "members", "filter", "d_filter"),
        *(f"{kind}_{field}" for kind in ("depthwise", "dense") for field in GEOMETRY),
    ),
    "member": ("offset", "channels", "weight", "by_out", "by_in", "by_tap", "d_weight"),
    "pool": ("in", "out", "stride", "place"),
    "state": ("map", "first_term", "terms"),
    "source": ("map", "first_read", "reads", "first_pool", "pools", "first_term", "terms"),
    "read": ("view", "first_conv", "convs"),
    "phase": ("first_state", "states", "first_source", "sources", "first_view", "views", "first_pool", "pools"),
    "term": ("view",),
    "leaving": ("view",),
}
"""The structures, and their fields in order; each has 64 bits."""
COUNTED = {"map": 11, "view": 12, "phase": 13}
IMAGES, THREADS, WEIGHTS, D_WEIGHTS, HEADER = 14, 15, 16, 17, 18
"""Places in front of the tables; the first ones say where each table begins, or how many rows it has."""


class Tables:
    """Rows of fields, and what is known of them only once all are laid out."""

    def __init__(self) -> None:
        self.rows: dict[str, list[list[int]]] = {name: [] for name in FIELDS}

    def add(self, table: str, **fields: int) -> int:
        rows = self.rows[table]
        rows.append([fields.pop(name, 0) for name in FIELDS[table]])
        assert not fields
        return len(rows) - 1

    def count(self, table: str) -> int:
        return len(self.rows[table])

    def get(self, table: str, row: int, field: str) -> int:
        return self.rows[table][row][FIELDS[table].index(field)]

    def laid_out(self) -> Places:
        starts = self._starts()
        array = np.zeros(HEADER + sum(len(rows) * len(FIELDS[name]) for name, rows in self.rows.items()), np.int64)
        for number, (name, rows) in enumerate(self.rows.items()):
            array[number] = starts[name]
            if name in COUNTED:
                array[COUNTED[name]] = len(rows)
            if rows:
                array[starts[name] : starts[name] + len(rows) * len(FIELDS[name])] = np.concatenate(rows)
        return array

    def place(self, table: str, row: int, field: str) -> int:
        return self._starts()[table] + row * len(FIELDS[table]) + FIELDS[table].index(field)

    def places(self, table: str, rows: Iterable[int], field: str) -> Places:
        return np.array([self.place(table, row, field) for row in rows], np.int64)

    def _starts(self) -> dict[str, int]:
        start, found = HEADER, {}
        for name, rows in self.rows.items():
            found[name] = start
            start += len(rows) * len(FIELDS[name])
        return found
