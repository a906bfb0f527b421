"""How a cell is laid out for the kernels: the tables of ``csrc/tables.h``, which depend on shapes alone.

Cells that look alike share a plan. In every pass a copy of its tables is completed by the addresses of that pass.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from archgrad.engine.native.layout import Layout, Region, Request, Size
from archgrad.engine.native.tables import Places, Tables

SLACK = 64
"""Floats behind the last piece of memory, which kernels may read."""


class Slot(NamedTuple):
    """Where the address of a weight goes, and that of its gradient; ``steps``: of a matrix with several taps."""

    weight: int
    gradient: int
    steps: int
    channels_in: int
    taps: int


class Memory(NamedTuple):
    """Memory that a pass asks for in one piece, and the places in the tables of addresses in it."""

    floats: int
    places: Places
    offsets: Places
    """Bytes behind the start of the memory."""


class Plan(NamedTuple):
    """The tables, and the places in them that change from pass to pass."""

    template: Places
    computed: Memory
    """What convolutions and pools return."""
    vectors: Memory
    """Means, scales, shifts and deviations of BNs."""
    hidden: Memory
    """Gradients between two blocks of an operation, which backward alone needs."""
    hidden_origins: Places
    """The given states that these lead to, or -1."""
    given: tuple[Places, Places]
    """Places of the addresses of given states' maps and gradients."""
    sizes: tuple[Size, ...]
    """Of the targets."""
    targets: tuple[Places, Places, Places]
    """Places of the addresses of their maps, gradients, and gradients from outside."""
    external: Places
    added: tuple[int, ...]
    """To which of the targets the maps from outside are added."""
    slots: tuple[Slot, ...]
    slot_places: Places
    slot_gradients: Places
    spatial: tuple[int, ...]
    """The slots whose steps depend on the layout of the weight."""
    factors: Places
    """Of the views with a factor per image, by flow."""
    norms: Places
    """Where the rows of the views with a BN begin, by flow."""
    norm_channels: tuple[int, ...]
    values: int
    """The least number of values of a channel, of which batch statistics need two."""


@lru_cache(maxsize=256)
def plan_for(request: Request) -> Plan:
    """The plan of a cell, or of a part of it. Errors: `MismatchError`."""
    layout = Layout(request)
    tables = layout.tables
    targets = [layout.maps[target] for target, _, _ in request.targets]
    given = [layout.maps[state] for state, _ in request.given]
    order = {state: number for number, (state, _) in enumerate(request.given)}
    numbers = {target: number for number, (target, _, _) in enumerate(request.targets)}
    slots = tuple(_slot(tables, *layout.filters[key]) for key in sorted(layout.filters))
    norms = [layout.norms[key] for key in sorted(layout.norms)]
    return Plan(
        template=tables.laid_out(),
        computed=_memory(layout, layout.computed),
        vectors=_memory(layout, layout.vectors),
        hidden=_memory(layout, layout.hidden),
        hidden_origins=np.array([order.get(state, -1) for state in layout.hidden_origins], np.int64),
        given=(tables.places("map", given, "values"), tables.places("map", given, "gradient")),
        sizes=tuple(layout.size(number) for number in targets),
        targets=(
            tables.places("map", targets, "values"),
            tables.places("map", targets, "gradient"),
            tables.places("map", targets, "given"),
        ),
        external=tables.places("map", layout.external.values(), "values"),
        added=tuple(numbers[target] for target in layout.external),
        slots=slots,
        slot_places=np.array([slot.weight for slot in slots], np.int64),
        slot_gradients=np.array([slot.gradient for slot in slots], np.int64),
        spatial=tuple(number for number, slot in enumerate(slots) if slot.steps >= 0),
        factors=tables.places("view", [layout.factors[flow] for flow in sorted(layout.factors)], "factor"),
        norms=tables.places("view", norms, "map"),
        norm_channels=tuple(tables.get("view", row, "channels") for row in norms),
        values=request.images * min((row[3] * row[4] for row in tables.rows["map"]), default=1),
    )


def _memory(layout: Layout, region: Region) -> Memory:
    places = [layout.tables.place(table, row, field) for table, row, field, _ in region.pieces]
    offsets = [offset for *_, offset in region.pieces]
    return Memory(region.floats + SLACK, np.array(places, np.int64), np.array(offsets, np.int64))


def _slot(tables: Tables, table: str, row: int) -> Slot:
    if table == "conv":
        return Slot(tables.place(table, row, "filter"), tables.place(table, row, "d_filter"), -1, 0, 1)
    by_out, by_in = (tables.get(table, row, field) for field in ("by_out", "by_in"))
    several = by_in > 1  # more than one tap, and not those of the two halves of a map
    return Slot(
        tables.place(table, row, "weight"),
        tables.place(table, row, "d_weight"),
        tables.place(table, row, "by_in") if several else -1,
        by_out // by_in,
        by_in,
    )
