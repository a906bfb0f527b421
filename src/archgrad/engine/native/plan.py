"""How a cell is laid out for the kernels: the tables of ``cell.cpp``, which depend on shapes alone.

Cells that look alike share a plan. In every pass a copy of its tables is completed by the addresses of that pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from archgrad.engine.native.library import stride_of
from archgrad.engine.native.recipe import Block, Geometry, Shape

Size = tuple[int, int, int]
"""Channels, height, width."""
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
"""The structures of ``cell.cpp``, and their fields in order; each has 64 bits."""
COUNTED = {"map": 11, "view": 12, "phase": 13}
IMAGES, THREADS, WEIGHTS, D_WEIGHTS, HEADER = 14, 15, 16, 17, 18
"""Places in front of the tables; the first ones say where each table begins, or how many rows it has."""
ROW = 16
"""Floats of which vectors of channels have a multiple."""
SLACK = 64


class MismatchError(Exception):
    """Shapes that do not fit each other."""


class FlowKey(NamedTuple):
    """An operation that the kernels compute; ``place`` of its weight, -1 for a weight of 1."""

    source: int
    target: int
    place: int
    shape: Shape


class Request(NamedTuple):
    """What a plan is for.

    ``given``: states whose maps are there, with their sizes. ``targets``: (state, source of its first edge, stride of
    that edge), which give the size of a state into which nothing flows. ``external``: the targets to which torch adds
    a map.
    """

    images: int
    given: tuple[tuple[int, Size], ...]
    targets: tuple[tuple[int, int, int], ...]
    flows: tuple[FlowKey, ...]
    external: tuple[tuple[int, Size], ...]


class Slot(NamedTuple):
    """Where the address of a weight goes, and that of its gradient; ``steps``: of a matrix with several taps."""

    weight: int
    gradient: int
    steps: int
    channels_in: int
    taps: int


class Out(NamedTuple):
    """Channels of a map that a flow has reached: what its next block or its target reads."""

    flow: int
    map: int
    offset: int
    channels: int
    block: int
    """The next one."""


class Plan(NamedTuple):
    """The tables, and the places in them that change from pass to pass."""

    template: Places
    arena: tuple[Places, Places]
    """Places of addresses in the memory that forward keeps, and how many bytes behind its start they point."""
    arena_floats: int
    hidden: tuple[Places, Places, Places]
    """The same for memory that backward needs; last, the given state that it leads to, or -1."""
    hidden_floats: int
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


class _Tables:
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


@lru_cache(maxsize=256)
def plan_for(request: Request) -> Plan:
    """The plan of a cell, or of a part of it. Errors: :class:`MismatchError`."""
    return _Planner(request).plan()


class _Planner:
    def __init__(self, request: Request):
        self.request = request
        self.tables = _Tables()
        self.maps: dict[int, int] = {}  # of states
        self.external: dict[int, int] = {}
        self.arriving: dict[int, list[int]] = {target: [] for target, _, _ in request.targets}
        self.origin: dict[int, int] = {}  # the given state that a flow comes from
        self.arena: list[tuple[str, int, str, int]] = []
        self.hidden: list[tuple[int, int, int]] = []
        self.arena_floats = self.hidden_floats = 0
        self.filters: dict[tuple[int, int], tuple[str, int]] = {}  # (flow, number of its weight) -> table, row
        self.norms: dict[tuple[int, int], int] = {}
        self.factors: dict[int, int] = {}

    def plan(self) -> Plan:
        request, tables = self.request, self.tables
        for state, size in request.given:
            self.maps[state] = self._map(size, size[0])
        for target, size in request.external:
            self.external[target] = self._map(size, size[0])
        self._phases([], [state for state, _ in request.given])
        for target, source, stride in request.targets:
            self._state(target, source, stride)
            self._phases([tables.count("state") - 1], [target])
        return self._finished()

    # Maps

    def _map(self, size: Size, stride: int) -> int:
        channels, height, width = size
        return self.tables.add("map", stride=stride, channels=channels, height=height, width=width)

    def _size(self, number: int) -> Size:
        channels, height, width = self.tables.rows["map"][number][2:5]
        return channels, height, width

    def _computed(self, size: Size) -> int:
        """A map that a convolution or a pool fills."""
        number = self._map(size, stride := stride_of(size[0]))
        self._keep("map", number, "values", self.request.images * size[1] * size[2] * stride)
        return number

    def _keep(self, table: str, row: int, field: str, floats: int) -> None:
        self.arena.append((table, row, field, 4 * self.arena_floats))
        self.arena_floats += -(-floats // ROW) * ROW

    # States and views

    def _state(self, target: int, source: int, stride: int) -> None:
        """The sum of what has arrived."""
        tables, views = self.tables, self.arriving[target]
        sizes = {self._size(tables.get("view", view, "map"))[1:] for view in views}
        channels = {tables.get("view", view, "channels") for view in views}
        if target in self.external:
            size = self._size(self.external[target])
            sizes.add(size[1:])
            channels.add(size[0])
            views.append(tables.add("view", map=self.external[target], channels=size[0], target=0, place=-1))
        if len(sizes) > 1 or len(channels) > 1:
            raise MismatchError
        if sizes:
            size = (channels.pop(), *sizes.pop())
        else:
            width, *spatial = self._size(self.maps[source])
            size = (width, -(-spatial[0] // stride), -(-spatial[1] // stride))
        self.maps[target] = self._map(size, size[0])
        first = tables.count("term")
        for view in views:
            tables.add("term", view=view)
        tables.add("state", map=self.maps[target], first_term=first, terms=len(views))

    def _view(self, out: Out, norm: bool, relu: bool) -> int:
        """What a flow is behind its map: read by its next block, or added up by its target."""
        flow = self.request.flows[out.flow]
        end = out.block == len(flow.shape.blocks)
        row = self.tables.add(
            "view",
            map=out.map,
            offset=out.offset,
            channels=out.channels,
            relu=int(relu),
            target=0 if end else -1,
            place=flow.place if end else -1,
        )
        if norm:
            self.norms[out.flow, sum(block.norm for block in flow.shape.blocks[: out.block])] = row
            self._keep("view", row, "vectors", 4 * -(-out.channels // ROW) * ROW)
        if end:
            self.arriving[flow.target].append(row)
            if flow.shape.drop:
                self.factors[out.flow] = row
        elif out.block:
            _, height, width = self._size(out.map)
            self.hidden.append((row, 4 * self.hidden_floats, self.origin.get(flow.source, -1)))
            self.hidden_floats += -(-self.request.images * height * width * out.channels // ROW) * ROW
        return row

    # Phases

    def _phases(self, states: list[int], sources: list[int]) -> None:
        """What reads the sources, and then, level by level, what reads the results."""
        tables = self.tables
        first_source, first_pool = tables.count("source"), tables.count("pool")
        outs: list[Out] = []
        for state in sources:
            outs += self._source(state)
        reaching = {"first_source": first_source, "sources": tables.count("source") - first_source}
        reaching |= {"first_pool": first_pool, "pools": tables.count("pool") - first_pool}
        first_state = states[0] if states else 0
        while True:
            first_view = tables.count("view")
            views = [(out, self._behind(out)) for out in outs]
            tables.add(
                "phase",
                first_state=first_state,
                states=len(states),
                first_view=first_view,
                views=len(views),
                **reaching,
            )
            onward = [(out, view) for out, view in views if out.block < self._blocks(out)]
            if not onward:
                return
            states, first_source, outs = [], tables.count("source"), []
            for out, view in onward:
                first_conv = tables.count("conv")
                outs += self._convolve(view, [out])
                read = tables.add("read", view=view, first_conv=first_conv, convs=1)
                tables.add("source", map=-1, first_read=read, reads=1)
            reaching = {"first_source": first_source, "sources": len(onward)}

    def _blocks(self, out: Out) -> int:
        return len(self.request.flows[out.flow].shape.blocks)

    def _behind(self, out: Out) -> int:
        shape = self.request.flows[out.flow].shape
        end = shape if out.block == len(shape.blocks) else shape.blocks[out.block]
        return self._view(out, end.norm, end.relu)

    def _source(self, state: int) -> list[Out]:
        """A state with all that reads it."""
        tables, number = self.tables, self.maps[state]
        channels, height, width = self._size(number)
        if state in dict(self.request.given):
            self.origin[state] = state
        leaving = [Out(k, number, 0, channels, 0) for k, flow in enumerate(self.request.flows) if flow.source == state]
        shapes = {out: self.request.flows[out.flow].shape for out in leaving}
        row = {"map": number, "first_term": tables.count("leaving"), "first_read": tables.count("read")}
        row["first_pool"] = tables.count("pool")
        direct = [
            self._view(out, False, shape.relu) for out, shape in shapes.items() if not (shape.blocks or shape.pool)
        ]
        for view in direct:
            tables.add("leaving", view=view)
        outs: list[Out] = []
        pools: dict[tuple[str, int], int] = {}
        for out, shape in shapes.items():
            if shape.pool is None:
                continue
            if shape.pool not in pools:
                kind, stride = shape.pool
                size = (channels, (height - 1) // stride + 1, (width - 1) // stride + 1)
                pools[shape.pool] = self._computed(size)
                pool = tables.add("pool", **{"in": number}, out=pools[shape.pool], stride=stride)
                if kind == "max":
                    bytes_ = self.request.images * size[1] * size[2] * stride_of(channels)
                    self._keep("pool", pool, "place", -(-bytes_ // 4))
            outs.append(out._replace(map=pools[shape.pool]))
        for relu in (False, True):
            mine = [out for out, shape in shapes.items() if shape.blocks and shape.blocks[0].relu == relu]
            if mine:
                view = tables.add("view", map=number, channels=channels, relu=int(relu), target=-1, place=-1)
                first_conv = tables.count("conv")
                outs += self._convolve(view, mine)
                tables.add("read", view=view, first_conv=first_conv, convs=tables.count("conv") - first_conv)
        row |= {"terms": len(direct), "reads": tables.count("read") - row["first_read"]}
        tables.add("source", **row, pools=tables.count("pool") - row["first_pool"])
        return sorted(outs, key=lambda out: (out.map, out.offset))

    # Convolutions

    def _convolve(self, view: int, outs: list[Out]) -> list[Out]:
        """The next block of each: those that differ in the weights of one convolution only are one."""
        alike: dict[object, list[Out]] = {}
        for out in outs:
            block = self._next(out)
            if block.channels_in != out.channels:
                raise MismatchError
            alike.setdefault(out if block.depthwise is not None else block.dense, []).append(out)
        return [found for members in alike.values() for found in self._convolution(view, members)]

    def _next(self, out: Out) -> Block:
        return self.request.flows[out.flow].shape.blocks[out.block]

    def _convolution(self, view: int, members: list[Out]) -> list[Out]:
        tables, blocks = self.tables, [self._next(out) for out in members]
        block, (_, height, width) = blocks[0], self._size(members[0].map)
        fields: dict[str, int] = {}
        for kind, where in (("depthwise", block.depthwise), ("dense", block.dense)):
            if where is not None:
                height, width = where.shrunk(height, width)
                fields |= {f"{kind}_{name}": int(value) for name, value in where._asdict().items()}
                fields[f"{kind}_present"] = 1
        if min(height, width) < 1:
            raise MismatchError
        total = sum(block.channels_out for block in blocks)
        number = self._computed((total, height, width))
        dense = block.dense is not None
        first = tables.count("member")
        conv = tables.add(
            "conv", view=view, out=number, first_member=first, members=len(members) if dense else 0, **fields
        )
        found, offset = [], 0
        for out, mine in zip(members, blocks, strict=True):
            weight = sum((b.depthwise is not None) + (b.dense is not None) for b in self._before(out))
            if mine.depthwise is not None:
                self.filters[out.flow, weight] = "conv", conv
                weight += 1
            if mine.dense is not None:
                self.filters[out.flow, weight] = "member", self._member(mine, mine.dense, offset)
            found.append(Out(out.flow, number, offset, mine.channels_out, out.block + 1))
            offset += mine.channels_out
        return found

    def _before(self, out: Out) -> tuple[Block, ...]:
        return self.request.flows[out.flow].shape.blocks[: out.block]

    def _member(self, block: Block, where: Geometry, offset: int) -> int:
        inputs, taps = block.channels_in, _taps(where)
        by_in, by_tap = (1, inputs) if where.diagonal else (taps, 1)
        return self.tables.add(
            "member", offset=offset, channels=block.channels_out, by_out=inputs * taps, by_in=by_in, by_tap=by_tap
        )

    # The end

    def _finished(self) -> Plan:
        tables, request = self.tables, self.request
        targets = [self.maps[target] for target, _, _ in request.targets]
        given = [self.maps[state] for state, _ in request.given]
        order = {state: number for number, (state, _) in enumerate(request.given)}
        slots = tuple(self._slot(*self.filters[key]) for key in sorted(self.filters))
        norms = [self.norms[key] for key in sorted(self.norms)]
        numbers = {target: number for number, (target, _, _) in enumerate(request.targets)}
        return Plan(
            tables.laid_out(),
            _addresses((tables.place(table, row, field), offset) for table, row, field, offset in self.arena),
            self.arena_floats + SLACK,
            (
                tables.places("view", [row for row, _, _ in self.hidden], "gradient"),
                np.array([offset for _, offset, _ in self.hidden], np.int64),
                np.array([order.get(state, -1) for _, _, state in self.hidden], np.int64),
            ),
            self.hidden_floats + SLACK,
            (tables.places("map", given, "values"), tables.places("map", given, "gradient")),
            tuple(self._size(number) for number in targets),
            (
                tables.places("map", targets, "values"),
                tables.places("map", targets, "gradient"),
                tables.places("map", targets, "given"),
            ),
            tables.places("map", self.external.values(), "values"),
            tuple(numbers[target] for target in self.external),
            slots,
            np.array([slot.weight for slot in slots], np.int64),
            np.array([slot.gradient for slot in slots], np.int64),
            tuple(number for number, slot in enumerate(slots) if slot.steps >= 0),
            tables.places("view", [self.factors[flow] for flow in sorted(self.factors)], "factor"),
            tables.places("view", norms, "map"),
            tuple(tables.get("view", row, "channels") for row in norms),
            request.images * min((row[3] * row[4] for row in tables.rows["map"]), default=1),
        )

    def _slot(self, table: str, row: int) -> Slot:
        tables = self.tables
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


def _taps(where: Geometry) -> int:
    return where.rows if where.diagonal else where.rows * where.columns


def _addresses(pairs: Iterable[tuple[int, int]]) -> tuple[Places, Places]:
    array = np.array(list(pairs), np.int64).reshape(-1, 2)
    return array[:, 0].copy(), array[:, 1].copy()
