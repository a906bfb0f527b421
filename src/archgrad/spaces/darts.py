"""The DARTS space: normal and reduction cells of several nodes, each reading two earlier states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad import notation, operations
from archgrad.engine import Cell, SettledCell, Standard
from archgrad.engine.graph import reached
from archgrad.errors import ArchgradError, require_whole, shown, unknown
from archgrad.genotype import Edge, Genotype, Group, Kept
from archgrad.operations import cost
from archgrad.operations.cost import Complexity, extent
from archgrad.spaces.space import Notation, Size, Space
from archgrad.supernet import Supernet

OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
GROUPS = ("normal", "reduce")
STEM_MULTIPLIER = 3
MOST_STEPS = 50
"""The most nodes of a cell."""
INPUTS = 2
AUXILIARY = "auxiliary_skip"


class CellPlan(NamedTuple):
    """One cell of the stack: its kind and channels, those of the two states that it reads, those that it returns."""

    reduction: bool
    channels: int
    before_previous: int
    previous: int
    after_reduction: bool
    returned: int


def plan(cells: int, channels: int, concatenated: tuple[int, int], stem: str) -> list[CellPlan]:
    """The stack: reduction cells, which double the channels, stand at one third and two thirds of it.

    ``concatenated``: how many states a normal and a reduction cell concatenate.
    """
    imagenet = stem == "imagenet"
    outputs = [channels if imagenet else STEM_MULTIPLIER * channels] * 2
    result, after_reduction = [], imagenet
    for number in range(cells):
        reduction = number in (cells // 3, 2 * cells // 3)
        channels = 2 * channels if reduction else channels
        returned = concatenated[reduction] * channels
        result.append(CellPlan(reduction, channels, outputs[-2], outputs[-1], after_reduction, returned))
        outputs.append(returned)
        after_reduction = reduction
    return result


class DartsCell(nn.Module):
    """Brings the two states it reads to its own channels and size, and concatenates the last nodes of its graph."""

    def __init__(self, plan: CellPlan, graph: Cell | SettledCell, affine: bool):
        super().__init__()
        before: nn.Module
        if plan.after_reduction:
            before = operations.FactorizedReduce(plan.before_previous, plan.channels, affine)
        else:
            before = operations.ReLUConvBN(plan.before_previous, plan.channels, 1, affine=affine)
        self.preprocess = nn.ModuleList([before, operations.ReLUConvBN(plan.previous, plan.channels, 1, affine=affine)])
        self.graph = graph

    def forward(self, before_previous: Tensor, previous: Tensor) -> Tensor:
        before, last = self.preprocess
        return torch.cat(self.graph(before(before_previous), last(previous)), dim=1)


class AuxiliaryHead(nn.Module):
    """A second classifier two thirds up the stack whose loss helps training; it reads a 2×2 average of the map.

    The published window 5 with stride 3 (maps of 8×8) or 2 (7×7); other maps are averaged adaptively.
    """

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 128, 1, bias=False),
            operations.batch_norm(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            operations.batch_norm(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        x, size = F.relu(x), x.shape[-1]
        published = size == x.shape[-2] and 6 <= size <= 10
        x = F.avg_pool2d(x, 5, stride=size - 5) if published else F.adaptive_avg_pool2d(x, 2)
        logits: Tensor = self.classifier(self.features(x).flatten(1))
        return logits


class DartsNetwork(nn.Module):
    """Stem, the stack of cells, pooled and classified.

    With an auxiliary head, ``forward`` returns ``(logits, auxiliary logits)`` in training mode.
    """

    def __init__(
        self,
        plans: Sequence[CellPlan],
        make_graph: Callable[[CellPlan], Cell | SettledCell],
        *,
        classes: int,
        in_channels: int,
        stem: str,
        affine: bool,
        auxiliary: bool = False,
    ):
        super().__init__()
        self.stem = STEMS[stem](in_channels, plans[0])
        self.cells = nn.ModuleList(DartsCell(plan, make_graph(plan), affine) for plan in plans)
        self.auxiliary_at = 2 * len(plans) // 3
        self.auxiliary = AuxiliaryHead(plans[self.auxiliary_at].returned, classes) if auxiliary else None
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(plans[-1].returned, classes)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        before_previous, previous = self.stem(x)
        auxiliary_logits: Tensor | None = None
        for number, cell in enumerate(self.cells):
            before_previous, previous = previous, cell(before_previous, previous)
            if number == self.auxiliary_at and self.auxiliary is not None and self.training:
                auxiliary_logits = self.auxiliary(previous)
        logits: Tensor = self.classifier(self.pool(previous))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)


class CifarStem(nn.Module):
    """One convolution at full resolution; both states that the first cell reads are its output."""

    def __init__(self, in_channels: int, first: CellPlan):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, first.previous, 3, padding=1, bias=False), operations.batch_norm(first.previous)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return x, x


class ImageNetStem(nn.Module):
    """Three strided convolutions: the first cell reads the maps at one quarter and one eighth of the image."""

    def __init__(self, in_channels: int, first: CellPlan):
        super().__init__()
        width = first.previous
        self.quarter = nn.Sequential(
            nn.Conv2d(in_channels, width // 2, 3, stride=2, padding=1, bias=False),
            operations.batch_norm(width // 2),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1, bias=False),
            operations.batch_norm(width),
        )
        self.eighth = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            operations.batch_norm(width),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        quarter = self.quarter(x)
        return quarter, self.eighth(quarter)


CONCATS = ("last", "filled", "unread")
STEMS: dict[str, Callable[[int, CellPlan], nn.Module]] = {"cifar": CifarStem, "imagenet": ImageNetStem}


@dataclass(frozen=True)
class Darts(Space):
    """The DARTS space: ``steps`` nodes per cell that keep two inputs each; the last ``multiplier`` nodes leave.

    With 7 selectable operations and 4 nodes, (180·7⁸)² ≈ 1.1e18 architectures.

    ``kinds``: the kinds of cells that are searched, both or one of them; networks of one or two cells have reduction
    cells only. ``auxiliary_skip``: beside the candidates of every edge stands a skip connection of weight 1 that is no
    candidate, in the supernet, and in the settled network beside every edge that it keeps. ``stem``: ``cifar`` keeps
    the size of the images, ``imagenet`` shrinks it to one eighth. ``concat``: which nodes leave settled cells: the
    ``last`` ones; those that are ``filled``, where a threshold may leave some without inputs (FairDARTS); or those that
    are ``unread`` by others, where a node may also read a state twice (NASNet).

    *Source:* Liu, Simonyan, Yang, DARTS, arXiv 1806.09055.
    """

    name: str = "darts"
    candidates: tuple[str, ...] = OPERATIONS
    steps: int = 4
    multiplier: int = 4
    kinds: tuple[str, ...] = GROUPS
    auxiliary_skip: bool = False
    stem: str = "cifar"
    concat: str = "last"

    published_supernet = Size(16, 8)
    published_network = Size(36, 20)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole(self.name, 1, MOST_STEPS, steps=self.steps)
        require_whole(self.name, 1, self.steps, multiplier=self.multiplier)
        if self.stem not in STEMS:
            raise unknown("stem", self.stem, STEMS)
        if self.concat not in CONCATS:
            raise unknown("concat", self.concat, CONCATS)
        for name in self.candidates:
            if name not in operations.OPERATIONS:
                raise unknown("operation", name, operations.OPERATIONS)
        for kind in self.kinds:
            if kind not in GROUPS:
                raise unknown("kind of cell", kind, GROUPS)
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise ArchgradError(f"darts: kinds must be normal, reduce or both, got {self.kinds!r}")

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """``normal``, ``reduce`` or both: edges (source, target) with all sources below the target."""
        targets = range(INPUTS, INPUTS + self.steps)
        edges = tuple(Edge(source, target, self.candidates) for target in targets for source in range(target))
        twice = self.concat == "unread"
        return {name: Group(name, edges, 2, excluded=frozenset({"none"}), repeats=twice) for name in self.kinds}

    @property
    def outputs(self) -> range:
        """The states that a cell of the supernet concatenates."""
        return range(INPUTS + self.steps - self.multiplier, INPUTS + self.steps)

    def concatenated(self, kind: str, kept: Kept) -> tuple[int, ...]:
        """The states that a settled cell concatenates."""
        used = [edge for edge, names in zip(self.groups[kind].edges, kept, strict=True) if names]
        if self.concat == "filled":
            return tuple(state for state in self.outputs if any(edge.target == state for edge in used))
        if self.concat == "unread":
            return tuple(state for state in self.outputs if all(edge.source != state for edge in used))
        return tuple(self.outputs)

    def _strides(self, reduction: bool) -> list[int]:
        edges = self.groups[self.kinds[0]].edges
        return [2 if reduction and edge.source < INPUTS else 1 for edge in edges]

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
        """The supernet; its pooling candidates are followed by a BN without parameters.

        ``checkpoint_cells``: keep no activations inside cells but compute them again in backward.
        """
        plans = self._plan(self.supernet_size, {})
        make = Standard(affine, track, pool_norm=True)

        def make_graph(plan: CellPlan) -> Cell:
            group = self.groups[GROUPS[plan.reduction]]
            strides = self._strides(plan.reduction)
            cell = Cell(group, INPUTS, self.outputs, strides, plan.channels, make, executor, checkpoint_cells)
            if self.auxiliary_skip:
                cell.beside(AUXILIARY, "skip_connect", stays=True)
            return cell

        network = DartsNetwork(
            plans,
            make_graph,
            classes=classes,
            in_channels=in_channels,
            stem=self.stem,
            affine=affine,
        )
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
        """The settled network: affine BN, no BN behind pooling, drop-path behind everything but identities."""
        outputs = self._outputs(genotype)
        plans = self._plan(self.network_size, outputs)

        def make_graph(plan: CellPlan) -> SettledCell:
            group, strides = self.groups[GROUPS[plan.reduction]], self._strides(plan.reduction)
            pairs = self._terms(group, genotype.choices[group.name], outputs[group.name], unreached)
            terms = [
                (e, _with_drop_path(operations.build(n, operations.Spec(plan.channels, strides[e])))) for e, n in pairs
            ]
            return SettledCell(group, INPUTS, outputs[group.name], strides, terms)

        return DartsNetwork(
            plans,
            make_graph,
            classes=classes,
            in_channels=in_channels,
            stem=self.stem,
            affine=True,
            auxiliary=auxiliary,
        )

    def _outputs(self, genotype: Genotype) -> dict[str, tuple[int, ...]]:
        """The states that the cells of a genotype concatenate, by their kind."""
        choices = self.check(genotype).choices
        found = {kind: self.concatenated(kind, choices[kind]) for kind in self.kinds}
        for kind, states in found.items():
            if not states:
                raise ArchgradError(f"{self.name}: no node of the {kind} cell is left to leave it")
        return found

    def _plan(self, size: Size, outputs: Mapping[str, Sequence[int]]) -> list[CellPlan]:
        normal, reduce = (len(outputs.get(kind, self.outputs)) for kind in GROUPS)
        plans = plan(size.cells, size.channels, (normal, reduce), self.stem)
        for kind in sorted({GROUPS[cell.reduction] for cell in plans}):
            if kind not in self.kinds:
                raise ArchgradError(
                    f"{self.name}: {size.cells} cells include {kind} cells, "
                    f"but this space has {self.kinds[0]} cells only"
                )
        return plans

    def _terms(self, group: Group, kept: Kept, outputs: Sequence[int], unreached: bool) -> list[tuple[int, str]]:
        """(edge, operation) of a settled cell, the auxiliary skip connections included."""
        pairs = list(reached(group, kept, INPUTS, outputs, everything=unreached))
        if self.auxiliary_skip:
            pairs += [(number, "skip_connect") for number in dict.fromkeys(number for number, _ in pairs)]
        return pairs

    def cost(
        self,
        genotype: Genotype,
        *,
        classes: int = 10,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        unreached: bool = False,
    ) -> Complexity:
        """Parameters and FLOPs without the auxiliary head, which is not part of the network that is used."""
        outputs = self._outputs(genotype)
        plans, size = self._plan(self.network_size, outputs), extent(image_size)
        first = plans[0].previous
        if self.stem == "cifar":
            sizes = [size, size]
            parts = [cost.conv_bn(in_channels, first, 3, size)]
        else:
            half = cost.half(size)
            quarter = cost.half(half)
            eighth = cost.half(quarter)
            sizes = [quarter, eighth]
            parts = [
                cost.conv_bn(in_channels, first // 2, 3, half),
                cost.conv_bn(first // 2, first, 3, quarter),
                cost.conv_bn(first, first, 3, eighth),
            ]
        for cell in plans:
            group, strides = self.groups[GROUPS[cell.reduction]], self._strides(cell.reduction)
            size = sizes[-1]
            inner = cost.half(size) if cell.reduction else size
            parts += [cost.conv_bn(width, cell.channels, 1, size) for width in (cell.before_previous, cell.previous)]
            for number, name in self._terms(group, genotype.choices[group.name], outputs[group.name], unreached):
                source = size if group.edges[number].source < INPUTS else inner
                parts.append(cost.operation(name, cell.channels, strides[number], source))
            sizes.append(inner)
        return cost.total(*parts, cost.linear(plans[-1].returned, classes))

    def format(self, genotype: Genotype) -> str:
        """``Genotype(normal=[('op', input), …], normal_concat=range(2, 6), reduce=…, reduce_concat=…)``.

        A genotype that keeps more or fewer than two operations at a node, which that notation cannot say, as JSON.
        """
        cells = self._cells(self.check(genotype))
        if any(len(node) != 2 for cell in cells.values() for node in cell.nodes):
            return genotype.to_json()
        return notation.called("Genotype", cells)

    @property
    def notations(self) -> dict[str, Notation]:
        """As `format`, and as other programs read these cells."""

        def writer(write: Callable[[Mapping[str, notation.Nodes]], str]) -> Notation:
            return Notation(lambda genotype: write(self._cells(genotype)))

        return {**{name: writer(write) for name, write in notation.WRITERS.items()}, **super().notations}

    def _cells(self, genotype: Genotype) -> dict[str, notation.Nodes]:
        """The cells of a genotype, node by node."""
        found: dict[str, notation.Nodes] = {}
        for kind in self.kinds:
            group, kept = self.groups[kind], genotype.choices[kind]
            nodes = [
                [(op, group.edges[e].source) for e in edges for op in kept[e]] for edges in group.incoming.values()
            ]
            found[kind] = notation.Nodes(nodes, list(self._leaving(kind, kept)))
        return found

    def _leaving(self, kind: str, kept: Kept) -> Sequence[int]:
        """The states that the notation says leave a cell; FairDARTS names those without inputs, too."""
        return self.outputs if self.concat == "filled" else self.concatenated(kind, kept)

    def _parse(self, text: str) -> Genotype:
        """From ``Genotype(normal=[('op', input), …], normal_concat=range(2, 6), …)`` and what says the same."""
        found = notation.cells(notation.read(text), self.kinds, INPUTS)
        if found is None:
            raise ArchgradError(
                f"darts: {shown(text)} is not of the form "
                "Genotype(normal=[('op', input), …], normal_concat=range(2, 6), …)"
            )
        for kind in self.kinds:
            if kind not in found:
                raise ArchgradError(f"darts: the genotype lacks {kind!r}; it has {sorted(found)}")
        if extra := sorted(set(found) - set(self.kinds)):
            raise unknown("cell of a DARTS genotype", extra[0], self.kinds)
        return Genotype.of({kind: self._kept(kind, found[kind]) for kind in self.kinds}, self.name)

    def _kept(self, kind: str, cell: notation.Nodes) -> Kept:
        group, targets = self.groups[kind], list(self.groups[kind].incoming)
        if len(cell.nodes) != len(targets):
            raise ArchgradError(f"darts: {kind} needs {len(targets)} nodes, got {len(cell.nodes)}")
        kept: list[list[str]] = [[] for _ in group.edges]
        for target, pairs in zip(targets, cell.nodes, strict=True):
            for operation, source in pairs:
                edge = next((e for e in group.incoming[target] if group.edges[e].source == source), None)
                if edge is None:
                    raise ArchgradError(
                        f"darts: node {target} of {kind} reads state {source}, but it can read 0 to {target - 1}"
                    )
                candidate = notation.candidate(operation, group.selectable(edge))
                if candidate not in group.selectable(edge):
                    raise unknown(f"operation at node {target} of {kind}", operation, group.selectable(edge))
                if kept[edge] and not group.repeats:
                    raise ArchgradError(f"darts: node {target} of {kind} reads state {source} a second time")
                kept[edge].append(candidate)
        found = tuple(map(tuple, kept))
        leaving = list(self._leaving(kind, found))
        if cell.concat is not None and sorted(cell.concat) != leaving:
            raise ArchgradError(
                f"darts: {kind}_concat is {shown(cell.concat)}, but cells of this space concatenate {leaving}"
            )
        return found


def _with_drop_path(operation: nn.Module) -> nn.Module:
    return operation if isinstance(operation, nn.Identity) else nn.Sequential(operation, operations.DropPath())
