"""TransNAS-Bench-101, micro: a cell of four states and six edges with four operations, in a fixed stack of modules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from archgrad import notation, operations
from archgrad.engine import Cell, SettledCell
from archgrad.engine.graph import reached
from archgrad.errors import ArchgradError, shown, unknown
from archgrad.genotype import Edge, Genotype, Group
from archgrad.notation import naslib
from archgrad.operations import cost
from archgrad.operations.cost import Complexity, extent
from archgrad.spaces.space import Notation, Size, Space
from archgrad.supernet import Supernet

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
"""In the order of the digits 0 … 3."""

PAIRS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of the six edges, in the order of the digits."""

GROUP = "cell"
GROUPS = {GROUP: Group(GROUP, tuple(Edge(s, t, OPERATIONS) for s, t in PAIRS))}

MACRO = "41414"
"""One digit per module: the first cell of a 4 doubles the channels and halves the map, that of a 1 keeps both."""

PREFIX = f"64-{MACRO}"


class Plan(NamedTuple):
    """One cell of the stack: its channels, those that it reads, and by how much it shrinks the map."""

    read: int
    channels: int
    stride: int


def plan(channels: int, cells: int) -> list[Plan]:
    """The stack: ``cells`` cells per module."""
    plans: list[Plan] = []
    for module in MACRO:
        width = 2 * channels if module == "4" else channels
        plans += [Plan(channels, width, 2 if module == "4" else 1), *[Plan(width, width, 1)] * (cells - 1)]
        channels = width
    return plans


class Nothing(nn.Module):
    """``none`` where it leads to other channels: zeros of their shape, which executors compute like anything else."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        height, width = (-(-size // self.stride) for size in x.shape[-2:])
        return x.new_zeros(len(x), self.channels, height, width)


@dataclass(frozen=True)
class CellOperations:
    """Makes the operations of a cell; those on edges from its input may change the number of channels."""

    plan: Plan
    affine: bool
    track: bool

    def __call__(self, name: str, edge: Edge, stride: int, channels: int) -> nn.Module:
        read = self.plan.read
        if edge.source or read == self.plan.channels:
            return operations.build(name, operations.Spec(channels, stride, self.affine, self.track))
        if name == "none":
            return Nothing(channels, stride)
        if name == "skip_connect":
            return operations.FactorizedReduce(read, channels, self.affine, self.track)
        if name not in OPERATIONS:
            raise unknown("operation that changes the number of channels", name, OPERATIONS)
        return operations.ReLUConvBN(read, channels, int(name[-1]), stride, self.affine, self.track)


class GrowingCell(Cell):
    """A cell whose edges from the input change the number of channels; nothing could pass by them unchanged.

    It therefore computes all channels where a modifier narrows the others.
    """

    def narrow(self, share: int, random: bool = False) -> None:
        """Stay as it is."""


class MicroCell(nn.Module):
    """A cell that reads one state and returns one, which has its channels even if nothing flows into it."""

    def __init__(self, cell: Cell | SettledCell, plan: Plan):
        super().__init__()
        self.cell = cell
        self.plan = plan

    def forward(self, x: Tensor) -> Tensor:
        (output,) = self.cell(x)
        missing = self.plan.channels - output.shape[1]
        return nn.functional.pad(output, (0, 0, 0, 0, 0, missing)) if missing else output


class TransNASBench101Network(nn.Sequential):
    """Stem to a quarter of the image, five modules of cells, pooled and classified."""

    def __init__(
        self,
        plans: list[Plan],
        make_cell: Callable[[Plan], Cell | SettledCell],
        classes: int,
        in_channels: int,
        track: bool,
    ):
        first, last = plans[0].read, plans[-1].channels
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, first // 2, 3, stride=2, padding=1, bias=False),
            operations.batch_norm(first // 2, track=track),
            operations.ReLUConvBN(first // 2, first, 3, stride=2, track=track),
        )
        self.cells = nn.Sequential(*(MicroCell(make_cell(plan), plan) for plan in plans))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(last, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@dataclass(frozen=True)
class TransNASBench101(Space):
    """The micro (cell) space of TransNAS-Bench-101: 4,096 cells, with the head for classification.

    The stack is the published ``64-41414``: ten cells in five modules, of which the first, third and fifth double the
    channels and halve the map. ``cells`` counts those of one module.

    *Source:* Duan et al., TransNAS-Bench-101, arXiv 2105.11871, section 3, and its code.
    """

    name = "transnasbench101"
    published_supernet = published_network = Size(64, 2)

    @property
    def groups(self) -> Mapping[str, Group]:
        """``cell``: six edges with all four operations each."""
        return GROUPS

    def _parse(self, text: str) -> Genotype:
        if "~" in text:
            edges = notation.of_nodes(text, self.name)
            for name in edges.values():
                if name not in OPERATIONS:
                    raise unknown("operation", name, OPERATIONS)
            return self._of(edges)
        entry = re.fullmatch(r"\(([0-3](?:, ?[0-3]){5})\)", text)
        digits = re.sub(r"\D", "", entry[1]) if entry else text
        prefix, dash, code = digits.rpartition("-")
        if dash and prefix != PREFIX:
            raise ArchgradError(
                f"transnasbench101: {shown(text)} must start with {PREFIX!r}, the stack of the micro space"
            )
        if re.fullmatch(r"[0-3]_[0-3]{2}_[0-3]{3}", code):
            code = code.replace("_", "")
        if not re.fullmatch(r"[0-3]{6}", code):
            raise ArchgradError(
                f"transnasbench101: {shown(text)} must be like '{PREFIX}-1_02_333' or '102333': "
                "six digits from 0 to 3, one operation per edge"
            )
        return Genotype.of({GROUP: [[OPERATIONS[int(digit)]] for digit in code]}, self.name)

    def format(self, genotype: Genotype) -> str:
        """``64-41414-a_bc_def``: the operations into the second, third and fourth state."""
        digits = self.digits(genotype)
        return f"{PREFIX}-{digits[0]}_{digits[1:3]}_{digits[3:]}"

    @property
    def notations(self) -> dict[str, Notation]:
        """As `format`, in digits, and as other programs read these cells."""

        def edges(genotype: Genotype) -> dict[tuple[int, int], str]:
            return dict(zip(PAIRS, self._single(genotype, GROUP), strict=True))

        return {
            "transnasbench101": Notation(self.format),
            "digits": Notation(self.digits),
            "confopt": Notation(lambda genotype: notation.by_node_text(edges(genotype))),
            "naslib": Notation(
                lambda genotype: naslib.of_six(edges(genotype), naslib.ON_EDGES[:4]),
                lambda data: self._of(naslib.six(data, naslib.ON_EDGES[:4])),
            ),
            **super().notations,
        }

    def _of(self, edges: Mapping[tuple[int, int], str]) -> Genotype:
        """The genotype with an operation on every edge (source, target)."""
        return Genotype.of({GROUP: [[edges[pair]] for pair in PAIRS]}, self.name)

    def digits(self, genotype: Genotype) -> str:
        """Six digits, one operation per edge, as in ``102333``."""
        return "".join(str(OPERATIONS.index(name)) for name in self._single(genotype, GROUP))

    def supernet(
        self,
        *,
        classes: int = 10,
        in_channels: int = 3,
        affine: bool = False,
        track: bool = True,
        executor: str = "auto",
        checkpoint_cells: bool = False,
        seed: int = 0,
    ) -> Supernet:
        """The supernet; ``affine`` and ``track``: BN parameters and running statistics of the candidates.

        ``checkpoint_cells``: keep no activations inside cells but compute them again in backward.
        """

        def make_cell(plan: Plan) -> Cell:
            kind, make = Cell if plan.read == plan.channels else GrowingCell, CellOperations(plan, affine, track)
            return kind(
                GROUPS[GROUP], 1, [3], strides(plan), plan.channels, make, executor, checkpoint_cells
            )  # fmt: skip

        network = TransNASBench101Network(plan(*self.supernet_size), make_cell, classes, in_channels, track=True)
        return Supernet(network, space=self, seed=seed)

    def network(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        auxiliary: bool = False,
        affine: bool = True,
        track: bool = True,
        unreached: bool = False,
    ) -> nn.Module:
        """The settled network; ``unreached`` keeps operations that do not carry anything to the output."""
        group, kept = GROUPS[GROUP], self.check(genotype).choices[GROUP]
        pairs = reached(group, kept, 1, [3], everything=unreached)

        def make_cell(plan: Plan) -> SettledCell:
            places = list(pairs)
            if unreached and plan.read != plan.channels:
                places += [(e, "none") for e, names in enumerate(kept) if "none" in names and PAIRS[e][0] == 0]
            make, shrunk = CellOperations(plan, affine, track), strides(plan)
            terms = [(e, make(name, group.edges[e], shrunk[e], plan.channels)) for e, name in sorted(places)]
            return SettledCell(group, 1, [3], shrunk, terms)

        return TransNASBench101Network(plan(*self.network_size), make_cell, classes, in_channels, track)

    def cost(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        unreached: bool = True,
    ) -> Complexity:
        """Parameters and FLOPs; with ``unreached`` (the benchmark's convention) of all operations of the cell."""
        kept = self.check(genotype).choices[GROUP]
        pairs = reached(GROUPS[GROUP], kept, 1, [3], everything=unreached)
        channels, half = self.network_size.channels, cost.half(extent(image_size))
        plans, size = plan(*self.network_size), cost.half(half)
        parts = [cost.conv_bn(in_channels, channels // 2, 3, half), cost.conv_bn(channels // 2, channels, 3, size)]
        for cell in plans:
            size = cost.half(size) if cell.stride == 2 else size
            for edge, name in pairs:
                if PAIRS[edge][0] == 0 and cell.read != cell.channels:
                    kernel = 3 if name == "nor_conv_3x3" else 1
                    parts.append(cost.conv_bn(cell.read, cell.channels, kernel, size))
                else:
                    parts.append(cost.operation(name, cell.channels, 1, size))
        return cost.total(*parts, cost.linear(plans[-1].channels, classes))


def strides(plan: Plan) -> list[int]:
    """Edges from the input carry the stride of the cell."""
    return [plan.stride if source == 0 else 1 for source, _ in PAIRS]
