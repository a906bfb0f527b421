"""The cells of NAS-Bench-101: a matrix and labels, what remains without loose ends, its hash, its module, its cost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from archgrad.errors import ArchgradError, unknown
from archgrad.operations import Pool, batch_norm, cost
from archgrad.operations.convolution import Chain
from archgrad.operations.cost import Complexity, Extent, extent

INPUT, OUTPUT = "input", "output"
OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""In the order of the benchmark, whose hash depends on it."""

STACKS = 3


class ConvBNReLU(Chain):
    """Convolution, BN, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, affine: bool = True, track: bool = True):
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
            batch_norm(channels_out, affine, track),
            nn.ReLU(),
        )


def build(name: str, channels: int, affine: bool = True, track: bool = True) -> nn.Module:
    """The operation of a vertex."""
    if name not in OPERATIONS:
        raise unknown("operation", name, OPERATIONS)
    if name == "maxpool3x3":
        return Pool("max", channels, 1)
    return ConvBNReLU(channels, channels, int(name[4]), affine, track)


def halve() -> nn.Module:
    """What stands between stacks; the map is rounded up as TensorFlow does."""
    return nn.MaxPool2d(2, stride=2, ceil_mode=True)


class Cell101(NamedTuple):
    """A cell: ``matrix[i][j]`` is 1 where vertex i feeds vertex j > i; the first label is input, the last output."""

    matrix: tuple[tuple[int, ...], ...]
    ops: tuple[str, ...]

    @classmethod
    def of(cls, matrix: Sequence[Sequence[int]], ops: Sequence[str]) -> Cell101:
        """Checked: upper triangular, as many labels as vertices, known operations."""
        rows, labels = tuple(tuple(int(v) for v in row) for row in matrix), tuple(str(op) for op in ops)
        size = len(rows)
        if size < 2 or any(len(row) != size for row in rows) or len(labels) != size:
            raise ArchgradError(
                f"nasbench101: a cell needs a square matrix and one label per vertex, got {size} rows of "
                f"{sorted({len(row) for row in rows})} and {len(labels)} labels"
            )
        if any(value not in (0, 1) or (value and i >= j) for i, row in enumerate(rows) for j, value in enumerate(row)):
            raise ArchgradError("nasbench101: the matrix must hold 0 and 1, with 1 above the diagonal only")
        if (labels[0], labels[-1]) != (INPUT, OUTPUT):
            raise ArchgradError(f"nasbench101: the labels must run from {INPUT!r} to {OUTPUT!r}, got {list(labels)}")
        for label in labels[1:-1]:
            if label not in OPERATIONS:
                raise unknown("operation of a vertex", label, OPERATIONS)
        return cls(rows, labels)

    def parents(self, vertex: int) -> list[int]:
        """The vertices that feed it."""
        return [i for i, row in enumerate(self.matrix) if row[vertex]]

    def children(self, vertex: int) -> list[int]:
        """The vertices that it feeds."""
        return [j for j, value in enumerate(self.matrix[vertex]) if value]

    def pruned(self) -> Cell101:
        """Without the vertices that lie on no way from the input to the output."""
        last = len(self.ops) - 1
        filled, read = {0}, {last}
        for vertex in range(1, last + 1):
            if filled & set(self.parents(vertex)):
                filled.add(vertex)
        for vertex in reversed(range(last)):
            if read & set(self.children(vertex)):
                read.add(vertex)
        if last not in filled:
            raise ArchgradError("nasbench101: there is no way from the input to the output of the cell")
        keep = sorted(filled & read)
        return Cell101(
            tuple(tuple(self.matrix[i][j] for j in keep) for i in keep), tuple(self.ops[vertex] for vertex in keep)
        )

    @property
    def hash(self) -> str:
        """The benchmark's key of the cell without loose ends: the same for isomorphic cells.

        *Source:* Ying et al., NAS-Bench-101, arXiv 1902.09635, section 2.2 (iterated over neighbours).
        """
        cell = self.pruned()
        size = len(cell.ops)
        labels = [-1, *(OPERATIONS.index(op) for op in cell.ops[1:-1]), -2]
        hashes = [_md5(str((len(cell.children(v)), len(cell.parents(v)), labels[v]))) for v in range(size)]
        for _ in range(size):
            hashes = [
                _md5("|".join([_joined(hashes, cell.parents(v)), _joined(hashes, cell.children(v)), hashes[v]]))
                for v in range(size)
            ]
        return _md5(str(sorted(hashes)))

    def channels(self, outgoing: int) -> list[int]:
        """Channels of every vertex, the first one's left at 0.

        Those that feed the output share its channels, the first ones getting one more where they do not divide; the
        others have as many as the widest vertex that they feed.
        """
        last = len(self.ops) - 1
        widths = [0] * last + [outgoing]
        final = [v for v in self.parents(last) if v]
        for number, vertex in enumerate(final):
            widths[vertex] = outgoing // len(final) + (number < outgoing % len(final))
        for vertex in reversed(range(1, last)):
            if vertex not in final:
                widths[vertex] = max(widths[child] for child in self.children(vertex))
        return widths


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _joined(hashes: Sequence[str], vertices: Sequence[int]) -> str:
    return "".join(sorted(hashes[v] for v in vertices))


class Module101(nn.Module):
    """A settled cell: inputs of a vertex are added, truncated to its channels; what feeds the output is concatenated.

    Whatever comes from the input is first projected by a 1×1 convolution, to the output too.

    *Source:* Ying et al., NAS-Bench-101, arXiv 1902.09635, section 2.1.
    """

    def __init__(self, cell: Cell101, channels_in: int, channels_out: int):
        super().__init__()
        self.cell = cell
        self.widths = cell.channels(channels_out)
        last = len(cell.ops) - 1
        self.projections = nn.ModuleDict(
            {str(v): ConvBNReLU(channels_in, self.widths[v], 1) for v in range(1, last + 1) if cell.matrix[0][v]}
        )
        self.vertices = nn.ModuleList(build(cell.ops[v], self.widths[v]) for v in range(1, last))

    def forward(self, x: Tensor) -> Tensor:
        last = len(self.cell.ops) - 1
        states: dict[int, Tensor] = {}
        for vertex, operation in enumerate(self.vertices, start=1):
            terms = [states[v][:, : self.widths[vertex]] for v in self.cell.parents(vertex) if v]
            if str(vertex) in self.projections:
                terms.append(self.projections[str(vertex)](x))
            states[vertex] = operation(sum(terms[1:], terms[0]))
        final = [states[v] for v in self.cell.parents(last) if v]
        if str(last) not in self.projections:
            return torch.cat(final, 1)
        projected: Tensor = self.projections[str(last)](x)
        return torch.cat(final, 1) + projected if final else projected


class NASBench101Network(nn.Sequential):
    """Stem, three stacks of ``cells`` cells with halved maps and doubled channels between them, averaged, classified.

    *Differs:* BN keeps torch's momentum of 0.1; the benchmark's TensorFlow code has 0.997, torch's 0.003.
    """

    def __init__(self, cell: Cell101, channels: int, cells: int, classes: int, in_channels: int):
        cell, modules = cell.pruned(), list[nn.Module]()
        widths = stack_widths(channels, cells)
        for number, (before, width) in enumerate(pairwise([channels, *widths])):
            if number and number % cells == 0:
                modules.append(halve())
            modules.append(Module101(cell, before, width))
        super().__init__()
        self.stem = ConvBNReLU(in_channels, channels, 3)
        self.stacks = nn.Sequential(*modules)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(widths[-1], classes)


def stack_widths(channels: int, cells: int) -> list[int]:
    """The channels of all cells."""
    if cells < 1:
        raise ArchgradError(f"nasbench101: cells must be 1 or more, got {cells}")
    return [channels * 2**stack for stack in range(STACKS) for _ in range(cells)]


def network_cost(
    cell: Cell101,
    channels: int = 128,
    cells: int = 3,
    classes: int = 10,
    in_channels: int = 3,
    image_size: int | tuple[int, int] = 32,
) -> Complexity:
    """Parameters and FLOPs of `NASBench101Network` by formula."""
    widths, size = stack_widths(channels, cells), extent(image_size)
    parts = [cost.conv_bn(in_channels, channels, 3, size)]
    for number, (before, width) in enumerate(pairwise([channels, *widths])):
        size = cost.half(size) if number and number % cells == 0 else size
        parts += _cell_costs(cell.pruned(), before, width, size)
    return cost.total(*parts, cost.linear(widths[-1], classes))


def _cell_costs(cell: Cell101, before: int, width: int, size: Extent) -> Iterator[Complexity]:
    widths = cell.channels(width)
    for vertex in cell.children(0):
        yield cost.conv_bn(before, widths[vertex], 1, size)
    for op, channels in zip(cell.ops[1:-1], widths[1:-1], strict=True):
        if op != "maxpool3x3":
            yield cost.conv_bn(channels, channels, int(op[4]), size)
