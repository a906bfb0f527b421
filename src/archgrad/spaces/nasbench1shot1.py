"""NAS-Bench-1Shot1: three parts of NAS-Bench-101 that one supernet can hold."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from archgrad import notation, operations
from archgrad.choice import InputChoice, Site
from archgrad.engine import Cell
from archgrad.errors import ArchgradError, shown, unknown
from archgrad.genotype import Edge, Genotype, Group, Kept
from archgrad.notation import naslib
from archgrad.operations.cost import Complexity
from archgrad.spaces.nasbench101 import (
    INPUT,
    OPERATIONS,
    OUTPUT,
    Cell101,
    ConvBNReLU,
    NASBench101Network,
    build,
    halve,
    network_cost,
    stack_widths,
)
from archgrad.spaces.space import Notation, Size, Space
from archgrad.supernet import Supernet

PARENTS = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}
"""Search space → how many parents every choice block has, and, last, the output."""

VERTICES = 7


def names(count: int) -> tuple[str, ...]:
    """What the first ``count`` nodes are called: the input and the choice blocks."""
    return (INPUT, *(f"block_{number}" for number in range(1, count)))


@dataclass(frozen=True)
class BlockOperations:
    """Makes the operations of a choice block, and by their names whatever a modifier puts beside them."""

    affine: bool
    track: bool

    def __call__(self, name: str, edge: Edge, stride: int, channels: int) -> nn.Module:
        if name in OPERATIONS:
            return build(name, channels, self.affine, self.track)
        return operations.build(name, operations.Spec(channels, stride, self.affine, self.track))


class Concatenation(Site):
    """Which states make the output of a cell: they are weighed and concatenated.

    Once settled, zeros stand for the states that are not read, so that whatever comes behind keeps its shape.
    """

    def __init__(self, group: Group):
        super().__init__(group)

    def forward(self, *inputs: Tensor) -> Tensor:
        weights, active, *_ = self.row
        return torch.cat(
            [
                x * weights[0, column] if active is None or active[0][column] else torch.zeros_like(x)
                for column, x in enumerate(inputs)
            ],
            1,
        )

    def settle(self, kept: Kept) -> nn.Module:
        """The kept states side by side."""
        return Concatenated([name in kept[0] for name in self.group.operations])


class Concatenated(nn.Module):
    """Some of its inputs side by side, zeros for the others."""

    def __init__(self, kept: Sequence[bool]):
        super().__init__()
        self.kept = tuple(kept)

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat([x if kept else torch.zeros_like(x) for kept, x in zip(self.kept, inputs, strict=True)], 1)


class OneShotCell(nn.Module):
    """Choice blocks one after the other: each adds up its parents and applies one operation.

    Every block, and the output, has its own projection of the cell's input; the input and all blocks, weighed, are
    concatenated.
    """

    def __init__(
        self,
        space: NASBench1Shot1,
        channels_in: int,
        channels: int,
        affine: bool,
        track: bool,
        executor: str,
        checkpoint: bool,
    ):
        super().__init__()
        groups, blocks, make = space.groups, names(space.blocks + 1)[1:], BlockOperations(affine, track)
        self.projections = nn.ModuleList(ConvBNReLU(channels_in, channels, 1) for _ in range(space.blocks + 1))
        self.parents = nn.ModuleDict(
            {
                name: InputChoice(group.operations, name, group.select)
                for name, group in groups.items()
                if name.startswith("parents_")
            }
        )
        self.blocks = nn.ModuleList(
            Cell(groups[name], 1, [1], [1], channels, make, executor, checkpoint) for name in blocks
        )
        self.output = Concatenation(groups[OUTPUT])

    def forward(self, x: Tensor) -> Tensor:
        states: list[Tensor] = []
        for number, block in enumerate(self.blocks, start=1):
            inputs = [self.projections[number - 1](x), *states]
            name = f"parents_{number}"
            (state,) = block(self.parents[name](*inputs) if name in self.parents else sum(inputs[1:], inputs[0]))
            states.append(state)
        output: Tensor = self.output(self.projections[-1](x), *states)
        return output


class OneShotNetwork(nn.Sequential):
    """Stem, three stacks of cells with halved maps and doubled channels between them, projected and classified."""

    def __init__(
        self,
        space: NASBench1Shot1,
        channels: int,
        cells: int,
        classes: int,
        in_channels: int,
        affine: bool,
        track: bool,
        executor: str,
        checkpoint: bool,
    ):
        modules, read = list[nn.Module](), channels
        widths = stack_widths(channels, cells)
        for number, width in enumerate(widths):
            if number and number % cells == 0:
                modules.append(halve())
            modules.append(OneShotCell(space, read, width, affine, track, executor, checkpoint))
            read = width * (space.blocks + 1)
        super().__init__()
        self.stem = ConvBNReLU(in_channels, channels, 3)
        self.stacks = nn.Sequential(*modules)
        self.last = operations.ReLUConvBN(read, widths[-1], 1, affine=affine)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(widths[-1], classes)


@dataclass(frozen=True)
class NASBench1Shot1(Space):
    """Search space 1, 2 or 3 of NAS-Bench-1Shot1: choice blocks with an operation and a fixed number of parents each.

    A genotype may have loose ends (blocks that nothing reads), so ``count`` counts 14,580, 29,160 and 1,312,200
    decisions; `distinct` counts cells without loose ends. The paper's table gives 6,240, 29,160 and 363,648 with loose
    ends, of which only the second is the number of decisions, and 2,487, 3,609 and 24,066 without, the count of a
    published generator that leaves out some graphs.

    ``cells`` counts those of one of the three stacks. The settled network is that of NAS-Bench-101, which has no loose
    ends and its own numbers of channels.

    *Source:* Zela, Siems, Hutter, NAS-Bench-1Shot1, arXiv 2001.10422, section 3 and its code.
    """

    number: int = 1
    name: str = field(init=False, default="")

    published_supernet = Size(16, 3)
    published_network = Size(128, 3)

    def __post_init__(self) -> None:
        if self.number not in PARENTS:
            raise unknown("search space of nasbench1shot1", self.number, map(str, PARENTS))
        object.__setattr__(self, "name", f"nasbench1shot1_{self.number}")
        super().__post_init__()

    @property
    def blocks(self) -> int:
        """The number of choice blocks."""
        return len(PARENTS[self.number]) - 1

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """``block_k``: its operation; ``parents_k``: its parents, where there is a choice; ``output``: what leaves."""
        groups: dict[str, Group] = {}
        for node, select in enumerate(PARENTS[self.number], start=1):
            last = node == self.blocks + 1
            if not last:
                groups[f"block_{node}"] = Group(f"block_{node}", (Edge(0, 1, OPERATIONS),))
            if select < node:
                name = OUTPUT if last else f"parents_{node}"
                groups[name] = Group(name, (Edge(0, 1, names(node)),), select=select)
        return groups

    def _parents(self, genotype: Genotype) -> list[tuple[int, ...]]:
        """Of every block and the output, by number; 0 is the input."""
        choices, found = self.check(genotype).choices, []
        for node, select in enumerate(PARENTS[self.number], start=1):
            group = OUTPUT if node == self.blocks + 1 else f"parents_{node}"
            kept = choices[group][0] if group in choices else names(node)
            if len(kept) != select:
                raise ArchgradError(f"{self.name}: {group} must keep exactly {select} parents, got {list(kept)}")
            found.append(tuple(sorted(names(node).index(name) for name in kept)))
        return found

    def _operations(self, genotype: Genotype) -> list[str]:
        kept = [genotype.choices[f"block_{node}"][0] for node in range(1, self.blocks + 1)]
        for node, chosen in enumerate(kept, start=1):
            if len(chosen) != 1:
                raise ArchgradError(f"{self.name}: block_{node} must keep exactly one operation, got {list(chosen)}")
        return [chosen[0] for chosen in kept]

    def _of(self, ops: Sequence[str], parents: Sequence[Sequence[int]]) -> Genotype:
        choices: dict[str, list[list[str]]] = {f"block_{node}": [[op]] for node, op in enumerate(ops, start=1)}
        for node, group in enumerate([*(f"parents_{n}" for n in range(1, self.blocks + 1)), OUTPUT], start=1):
            if group in self.groups:
                choices[group] = [[names(node)[parent] for parent in sorted(parents[node - 1])]]
        return Genotype.of(choices, self.name)

    def format(self, genotype: Genotype) -> str:
        """``op~parents|…|output~parents`` with parents by number, 0 the input: ``maxpool3x3~0,1|…|output~2,4``."""
        parents = self._parents(genotype)
        labels = [*self._operations(genotype), OUTPUT]
        return "|".join(f"{op}~{','.join(map(str, of))}" for op, of in zip(labels, parents, strict=True))

    @property
    def notations(self) -> dict[str, Notation]:
        """As `format`, and the cell of NAS-Bench-101 as other programs read it."""

        def cell(genotype: Genotype) -> tuple[list[list[int]], list[str]]:
            matrix, ops = self.to_nasbench101(genotype)
            return [list(row) for row in matrix], list(ops)

        return {
            "nasbench1shot1": Notation(self.format),
            "nasbench101": Notation(lambda genotype: "ModelSpec(matrix={!r}, ops={!r})".format(*cell(genotype))),
            "confopt": Notation(lambda genotype: "({!r},{!r})".format(*cell(genotype))),
            "naslib": Notation(
                lambda genotype: naslib.of_vertices(*cell(genotype)),
                lambda data: self.from_nasbench101(**naslib.vertices(data)),
            ),
            "nni": Notation(lambda genotype: json.dumps(notation.by_vertex(*cell(genotype)))),
            **super().notations,
        }

    def _parse(self, text: str) -> Genotype:
        """From this space's notation, or a NAS-Bench-101 cell ``{"matrix": [[…], …], "ops": [...]}``."""
        if (cell := notation.matrix(notation.read(text))) is not None:
            return self.from_nasbench101(*cell)
        if '"matrix"' in text:
            raise ArchgradError(f'{self.name}: a NAS-Bench-101 cell is {{"matrix": […], "ops": […]}}')
        entries = text.split("|")
        if len(entries) != self.blocks + 1:
            raise ArchgradError(
                f"{self.name}: {shown(text)} needs {self.blocks} blocks 'operation~parents' and 'output~parents', "
                f"separated by '|', got {len(entries)} entries"
            )
        ops, parents = [], []
        for node, (entry, select) in enumerate(zip(entries, PARENTS[self.number], strict=True), start=1):
            op, _, numbers = entry.partition("~")
            known = (OUTPUT,) if node == len(entries) else OPERATIONS
            if op not in known:
                raise unknown(f"operation of {names(node + 1)[-1]}" if len(known) > 1 else "last entry", op, known)
            of = numbers.split(",")
            if not all(n.isdecimal() and int(n) < node for n in of) or len(of) != select or len(set(of)) != select:
                raise ArchgradError(
                    f"{self.name}: {entry!r} needs {select} different parents below {node}, as in '{op}~"
                    f"{','.join(map(str, range(select)))}'"
                )
            ops.append(op)
            parents.append([int(n) for n in of])
        return self._of(ops[:-1], parents)

    # NAS-Bench-101

    def to_nasbench101(self, genotype: Genotype) -> Cell101:
        """The cell as NAS-Bench-101 writes it, 7×7; spaces of four blocks get a fifth that nothing feeds or reads."""
        parents, ops = self._parents(genotype), self._operations(genotype)
        spare = VERTICES - 2 - self.blocks
        matrix = [[0] * VERTICES for _ in range(VERTICES)]
        for node, of in enumerate(parents, start=1):
            target = VERTICES - 1 if node == self.blocks + 1 else node
            for parent in of:
                matrix[parent][target] = 1
        return Cell101.of(matrix, [INPUT, *ops, *[OPERATIONS[1]] * spare, OUTPUT])

    def from_nasbench101(self, matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> Genotype:
        """A genotype whose cell without loose ends is isomorphic to the given one; an error if there is none.

        Blocks that the cell does not have become loose ends with the first operation and the first parents.
        """
        cell = Cell101.of(matrix, ops).pruned()
        for places in self._placements(cell):
            parents: list[Sequence[int]] = [tuple(range(select)) for select in PARENTS[self.number]]
            labels = [OPERATIONS[0]] * self.blocks
            for vertex, place in places.items():
                if vertex:
                    parents[place - 1] = [places[parent] for parent in cell.parents(vertex)]
                if 0 < vertex < len(cell.ops) - 1:
                    labels[place - 1] = cell.ops[vertex]
            return self._of(labels, parents)
        raise ArchgradError(f"{self.name}: the cell is not in this space; its hash in NAS-Bench-101 is {cell.hash}")

    def _placements(self, cell: Cell101) -> Iterator[dict[int, int]]:
        """Vertex → node, so that edges point forwards and every node has the parents that this space demands."""
        last, needed = len(cell.ops) - 1, PARENTS[self.number]
        if last - 1 > self.blocks or len(cell.parents(last)) != needed[-1]:
            return
        for nodes in itertools.permutations(range(1, self.blocks + 1), last - 1):
            places = {0: 0, **dict(enumerate(nodes, start=1)), last: self.blocks + 1}
            if all(
                len(cell.parents(vertex)) == needed[place - 1]
                and all(places[parent] < place for parent in cell.parents(vertex))
                for vertex, place in places.items()
                if vertex
            ):
                yield places

    def distinct(self) -> int:
        """The number of cells without loose ends: 3,702, 12,474 and 135,900 (isomorphic ones counted separately)."""
        graphs = set()
        for parents in itertools.product(
            *(itertools.combinations(range(node), select) for node, select in enumerate(PARENTS[self.number], start=1))
        ):
            used = {self.blocks + 1}
            for node in reversed(range(1, self.blocks + 2)):
                if node in used:
                    used.update(parents[node - 1])
            graphs.add(tuple((node, parents[node - 1]) for node in sorted(used - {0})))
        return sum(len(OPERATIONS) ** (len(graph) - 1) for graph in graphs)

    # Networks

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
        """The supernet; ``affine`` and ``track``: BN of the candidates.

        ``checkpoint_cells``: keep no activations inside choice blocks but compute them again in backward.
        """
        network = OneShotNetwork(
            self, *self.supernet_size, classes, in_channels, affine, track, executor, checkpoint_cells
        )  # fmt: skip
        return Supernet(network, space=self, seed=seed)

    def network(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        auxiliary: bool = False,
        unreached: bool = False,
    ) -> nn.Module:
        """The network of NAS-Bench-101."""
        self._refuse(unreached)
        return NASBench101Network(self.to_nasbench101(genotype), *self.network_size, classes, in_channels)

    def cost(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        unreached: bool = False,
    ) -> Complexity:
        """Parameters and FLOPs of the network of NAS-Bench-101."""
        self._refuse(unreached)
        return network_cost(self.to_nasbench101(genotype), *self.network_size, classes, in_channels, image_size)

    def _refuse(self, unreached: bool) -> None:
        if unreached:
            raise ArchgradError(
                f"{self.name}: blocks that nothing reads have no channels in NAS-Bench-101; unreached must be False"
            )
