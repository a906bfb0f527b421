"""What flows where in a cell: its maps, views, convolutions and phases, as rows of the kernels' tables."""

from __future__ import annotations

from typing import NamedTuple

from archgrad.engine.native.library import stride_of
from archgrad.engine.native.recipe import Block, Geometry, Shape
from archgrad.engine.native.tables import Tables

Size = tuple[int, int, int]
"""Channels, height, width."""

ROW = 16
"""Floats of which vectors of channels have a multiple."""


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


class Out(NamedTuple):
    """Channels of a map that a flow has reached: what its next block or its target reads."""

    flow: int
    map: int
    offset: int
    channels: int
    block: int
    """The next one."""


class Region:
    """Memory of one kind, handed out piece by piece."""

    def __init__(self) -> None:
        self.floats = 0
        self.pieces: list[tuple[str, int, str, int]] = []
        """Table, row, field that gets the address, bytes behind the start of the memory."""

    def add(self, table: str, row: int, field: str, floats: int) -> None:
        """A piece at a multiple of `ROW`."""
        self.pieces.append((table, row, field, 4 * self.floats))
        self.floats += -(-floats // ROW) * ROW


class Layout:
    """The tables of a cell, and which of their rows belong to which state, flow, weight and BN."""

    def __init__(self, request: Request):
        self.request = request
        self.tables = Tables()
        self.maps: dict[int, int] = {}  # of states
        self.external: dict[int, int] = {}
        self.arriving: dict[int, list[int]] = {target: [] for target, _, _ in request.targets}
        self.origin: dict[int, int] = {}  # the given state that a flow comes from
        self.computed, self.vectors, self.hidden = Region(), Region(), Region()
        self.hidden_origins: list[int] = []
        self.filters: dict[tuple[int, int], tuple[str, int]] = {}  # (flow, number of its weight) -> table, row
        self.norms: dict[tuple[int, int], int] = {}
        self.factors: dict[int, int] = {}
        for state, size in request.given:
            self.maps[state] = self._map(size, size[0])
        for target, size in request.external:
            self.external[target] = self._map(size, size[0])
        self._phases([], [state for state, _ in request.given])
        for target, source, stride in request.targets:
            self._state(target, source, stride)
            self._phases([self.tables.count("state") - 1], [target])

    def size(self, number: int) -> Size:
        """The size of a map."""
        channels, height, width = self.tables.rows["map"][number][2:5]
        return channels, height, width

    # Maps

    def _map(self, size: Size, stride: int) -> int:
        channels, height, width = size
        return self.tables.add("map", stride=stride, channels=channels, height=height, width=width)

    def _computed(self, size: Size) -> int:
        """A map that a convolution or a pool fills."""
        number = self._map(size, stride := stride_of(size[0]))
        self.computed.add("map", number, "values", self.request.images * size[1] * size[2] * stride)
        return number

    # States and views

    def _state(self, target: int, source: int, stride: int) -> None:
        """The sum of what has arrived."""
        tables, views = self.tables, self.arriving[target]
        sizes = {self.size(tables.get("view", view, "map"))[1:] for view in views}
        channels = {tables.get("view", view, "channels") for view in views}
        if target in self.external:
            size = self.size(self.external[target])
            sizes.add(size[1:])
            channels.add(size[0])
            views.append(tables.add("view", map=self.external[target], channels=size[0], target=0, place=-1))
        if len(sizes) > 1 or len(channels) > 1:
            raise MismatchError
        if sizes:
            size = (channels.pop(), *sizes.pop())
        else:
            width, *spatial = self.size(self.maps[source])
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
            self.vectors.add("view", row, "vectors", 4 * -(-out.channels // ROW) * ROW)
        if end:
            self.arriving[flow.target].append(row)
            if flow.shape.drop:
                self.factors[out.flow] = row
        elif out.block:
            _, height, width = self.size(out.map)
            self.hidden.add("view", row, "gradient", self.request.images * height * width * out.channels)
            self.hidden_origins.append(self.origin.get(flow.source, -1))
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
        channels, height, width = self.size(number)
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
                    self.computed.add("pool", pool, "place", -(-bytes_ // 4))
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
        block, (_, height, width) = blocks[0], self.size(members[0].map)
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


def _taps(where: Geometry) -> int:
    return where.rows if where.diagonal else where.rows * where.columns
