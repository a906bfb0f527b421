"""NAS-Bench-201: a cell of four states and six edges with five operations, stacked in three stages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from archgrad import notation, operations
from archgrad.engine import Cell, SettledCell, Standard
from archgrad.engine.graph import reached
from archgrad.errors import ArchgradError, shown, unknown
from archgrad.genotype import Edge, Genotype, Group
from archgrad.notation import naslib
from archgrad.operations import cost
from archgrad.operations.cost import Complexity, extent
from archgrad.spaces.space import Notation, Size, Space
from archgrad.supernet import Supernet

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the order of the digits 0 … 4."""

PAIRS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(source, target) of the six edges, in the order of the digits."""

NNI = {"nor_conv_1x1": "conv_1x1", "nor_conv_3x3": "conv_3x3"}
"""What NNI calls operations otherwise."""

GROUP = "cell"
GROUPS = {GROUP: Group(GROUP, tuple(Edge(s, t, OPERATIONS) for s, t in PAIRS))}


class Residual(nn.Module):
    """The fixed block between stages: doubles the channels and halves the map."""

    def __init__(self, channels_in: int, channels_out: int, track: bool = True):
        super().__init__()
        self.body = nn.Sequential(
            operations.ReLUConvBN(channels_in, channels_out, 3, stride=2, track=track),
            operations.ReLUConvBN(channels_out, channels_out, 3, track=track),
        )
        # Rounding up keeps the two branches equal on maps of odd size; on even ones nothing changes.
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, stride=2, ceil_mode=True), nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.shortcut(x) + self.body(x)
        return total


class OneOutput(nn.Module):
    """A cell that reads one state and returns one."""

    def __init__(self, cell: Cell | SettledCell):
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        (output,) = self.cell(x)
        return output  # type: ignore[no-any-return]


class NASBench201Network(nn.Sequential):
    """Stem, three stages of ``cells`` cells with residual blocks between them, pooled and classified."""

    def __init__(
        self,
        make_cell: Callable[[int], Cell | SettledCell],
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
        track: bool,
    ):
        stages: list[nn.Module] = []
        for stage in range(3):
            width = channels * 2**stage
            if stage:
                stages.append(Residual(width // 2, width, track))
            stages.extend(OneOutput(make_cell(width)) for _ in range(cells))
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), operations.batch_norm(channels, track=track)
        )
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(operations.batch_norm(4 * channels, track=track), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(4 * channels, classes)


@dataclass(frozen=True)
class NASBench201(Space):
    """The NAS-Bench-201 space: 15,625 cells.

    ``cells`` counts those of one of the three stages.

    *Source:* Dong and Yang, NAS-Bench-201, arXiv 2001.00326.
    """

    name = "nasbench201"
    published_supernet = published_network = Size(16, 5)

    @property
    def groups(self) -> Mapping[str, Group]:
        """``cell``: six edges with all five operations each."""
        return GROUPS

    def _parse(self, text: str) -> Genotype:
        if re.fullmatch(r"[0-9]+", text):
            if not re.fullmatch(r"[0-4]{6}", text):
                raise ArchgradError(
                    f"nasbench201: {shown(text)} must be six digits from 0 to 4, one operation per edge"
                )
            return Genotype.of({GROUP: [[OPERATIONS[int(digit)]] for digit in text]}, self.name)
        if "~" not in text and (edges := notation.edges(notation.read(text))) is not None:
            return self._of(edges)
        return self._of(notation.of_nodes(text, self.name))

    def _of(self, edges: Mapping[tuple[int, int], str]) -> Genotype:
        """The genotype with an operation on every edge (source, target)."""
        for pair in PAIRS:
            if pair not in edges:
                raise ArchgradError(f"nasbench201: nothing is said about the edge {pair[0]}→{pair[1]}")
        if extra := sorted(set(edges) - set(PAIRS)):
            raise ArchgradError(f"nasbench201: there is no edge {extra[0][0]}→{extra[0][1]}")
        names = [notation.candidate(edges[pair], OPERATIONS) for pair in PAIRS]
        for name in names:
            if name not in OPERATIONS:
                raise unknown("operation", name, OPERATIONS)
        return Genotype.of({GROUP: [[name] for name in names]}, self.name)

    def format(self, genotype: Genotype) -> str:
        """``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        return notation.by_node_text(dict(zip(PAIRS, self._single(genotype, GROUP), strict=True)))

    @property
    def notations(self) -> dict[str, Notation]:
        """As `format`, in digits, and as other programs read these cells."""

        def edges(genotype: Genotype) -> dict[tuple[int, int], str]:
            return dict(zip(PAIRS, self._single(genotype, GROUP), strict=True))

        return {
            "nasbench201": Notation(self.format),
            "digits": Notation(self.digits),
            "confopt": Notation(lambda genotype: f"Structure({notation.by_node(edges(genotype))!r})"),
            "naslib": Notation(
                lambda genotype: naslib.of_six(edges(genotype)), lambda data: self._of(naslib.six(data))
            ),
            "nni": Notation(lambda genotype: notation.keyed(edges(genotype), NNI)),
            **super().notations,
        }

    def digits(self, genotype: Genotype) -> str:
        """Six digits, one operation per edge, as in ``333133``."""
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
        make = Standard(affine, track)

        def make_cell(width: int) -> Cell:
            return Cell(self.groups[GROUP], 1, [3], [1] * 6, width, make, executor, checkpoint_cells)

        network = NASBench201Network(make_cell, *self.supernet_size, classes, in_channels, track=True)
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
        group, kept = self.groups[GROUP], self.check(genotype).choices[GROUP]
        pairs = reached(group, kept, 1, [3], everything=unreached)

        def make_cell(width: int) -> SettledCell:
            terms = [(e, operations.build(name, operations.Spec(width, 1, affine, track))) for e, name in pairs]
            return SettledCell(group, inputs=1, outputs=[3], strides=[1] * 6, terms=terms)

        return NASBench201Network(make_cell, *self.network_size, classes, in_channels, track)

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
        names = [name for _, name in reached(self.groups[GROUP], kept, 1, [3], everything=unreached)]
        (width, cells), size = self.network_size, extent(image_size)
        parts = [cost.conv_bn(in_channels, width, 3, size)]
        for stage in range(3):
            if stage:
                size = cost.half(size)
                parts += [
                    cost.conv_bn(width, 2 * width, 3, size),
                    cost.conv_bn(2 * width, 2 * width, 3, size),
                    cost.convolution(width, 2 * width, 1, size),
                ]
                width *= 2
            parts += [cost.operation(name, width, 1, size) for name in names] * cells
        return cost.total(*parts, cost.norm(width), cost.linear(width, classes))
