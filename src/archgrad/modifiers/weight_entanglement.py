"""Candidates that are parts of one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from archgrad.choice import Row
from archgrad.engine.candidates import cells
from archgrad.engine.cell import Cell, Rule
from archgrad.engine.graph import Flow
from archgrad.errors import ArchgradError
from archgrad.operations.convolution import Chain
from archgrad.operations.entangled import KernelSize, MixedConv, Sliced, padding_of
from archgrad.roles import Modifier
from archgrad.supernet import Supernet

Family = tuple[int, ...]
"""The columns of its candidates, largest kernels first."""


@dataclass(frozen=True)
class WeightEntanglement(Modifier):
    """Smaller kernels are the centre of the largest one; the kernels are mixed, and convolved once.

    Candidates of an edge belong to one family when they differ in the size of their kernels only: the separable
    convolutions, the dilated ones, ``nor_conv_1x1`` and ``nor_conv_3x3``. With s = Σ_o w_o over a family it computes
    s · BN(conv(x; Σ_o (w_o/s)·K_o)); where its candidates are chains of several convolutions (a separable one has two
    depthwise and two pointwise), the kernels of one place are mixed, and kernels of one size, like the BNs, are shared
    as they are. A candidate that is computed alone is the slice alone, with its own weight.

    A network settled with ``inherit`` has plain convolutions with the slices as their kernels (`Sliced.settled`).

    *Source:* TangleNAS, arXiv 2312.10440, section 3 (the kernels of section 4.1's spaces of cells).
    *Differs:* there, and in one published library, Σ_o w_o·K_o stands in front of the BN, which removes the sum s:
    α = (.1, .1) and (.4, .4) computed the same. Here s scales what leaves the BN, so that the family competes with the
    other candidates as it does without entanglement. Where s is 1 both compute the same.
    """

    needs = "cells (archgrad.engine.Cell) with convolutions that differ in the size of their kernels"

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        found = False
        for cell in cells(self, supernet.network):
            families = [
                _entangled(candidates, cell.group.operations)  # type: ignore[arg-type]
                for candidates in cell.operations
            ]
            # In front: rules that follow see what is computed, and not what was merged away.
            cell.rules.insert(0, MixedKernels(families))
            found = found or any(families)
        if not found:
            raise ArchgradError(
                "WeightEntanglement: no edge of this network has two candidates that differ in the size of their "
                "kernels only"
            )


class MixedKernels(Rule):
    """Computes each family as one operation; ``families``: those of every edge."""

    def __init__(self, families: Sequence[Sequence[Family]]):
        super().__init__()
        self.families = {
            (edge, column): family for edge, several in enumerate(families) for family in several for column in family
        }

    def forward(self, cell: Cell, row: Row, flows: list[Flow], weights: Tensor) -> tuple[list[Flow], Tensor]:
        columns = len(cell.group.operations) + len(cell.extras)
        found: dict[tuple[int, Family], list[Flow]] = {}
        for flow in flows:
            column = flow.place % columns
            found.setdefault((flow.edge, self.families.get((flow.edge, column), (column,))), []).append(flow)
        mixed: list[Flow] = []
        sums: list[Tensor] = []
        for (edge, family), members in found.items():
            if len(members) == 1:
                mixed += members
                continue
            members.sort(key=lambda flow, family=family: family.index(flow.place % columns))  # type: ignore[misc]
            mine = torch.stack([weights[flow.place] for flow in members])
            total = mine.sum()
            one = torch.ones_like(total)
            shares = torch.where(total == 0, one / len(mine), mine / torch.where(total == 0, one, total))
            operation = _mixed([flow.operation for flow in members], shares)
            mixed.append(Flow(edge, len(weights) + len(sums), operation, tuple(f.place % columns for f in members)))
            sums.append(total)
        return mixed, torch.cat([weights, torch.stack(sums)]) if sums else weights


def _entangled(candidates: nn.ModuleDict, names: Sequence[str]) -> list[Family]:
    """Make candidates slices of larger ones; the families that this gives."""
    present = [(name, list(_parts(candidates[name]))) for name in names if name in candidates]
    present.sort(key=lambda entry: -sum(_area(part) for part in entry[1]))
    families: list[list[str]] = []
    leaders: list[list[nn.Module]] = []
    for name, parts in present:
        number = next((n for n, leader in enumerate(leaders) if _is_part(parts, leader)), None)
        if number is None:
            families.append([name])
            leaders.append(parts)
        else:
            families[number].append(name)
            candidates[name] = Chain(*map(_slice, parts, leaders[number]))
    return [tuple(names.index(name) for name in family) for family in families if len(family) > 1]


def _slice(part: nn.Module, leader: nn.Module) -> nn.Module:
    if isinstance(leader, nn.Conv2d) and isinstance(part, nn.Conv2d):
        return leader if part.kernel_size == leader.kernel_size else Sliced(leader, _size(part))
    return leader if isinstance(leader, nn.BatchNorm2d) else part


def _mixed(operations: Sequence[nn.Module], shares: Tensor) -> Chain:
    """The largest operation of a family with mixed kernels."""
    parts = []
    for place in zip(*map(_parts, operations), strict=True):
        convs = [part for part in place if isinstance(part, nn.Conv2d | Sliced)]
        if convs and any(_whole(conv) is not _whole(convs[0]) for conv in convs):
            raise ArchgradError(
                "WeightEntanglement: candidates were built anew after it; put what builds them (PartialChannels) first"
            )
        sizes = [_size(conv) for conv in convs]
        parts.append(MixedConv(_whole(convs[0]), sizes, shares) if len(set(sizes)) > 1 else place[0])
    return Chain(*parts)


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """The modules that follow each other; inner sequences are opened."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for part in module:
            yield from _parts(part)
    else:
        yield module


def _is_part(parts: Sequence[nn.Module], leader: Sequence[nn.Module]) -> bool:
    """Whether these differ from larger ones in the size of kernels only."""
    if len(parts) != len(leader) or not all(map(_agree, parts, leader)):
        return False
    return any(_area(a) < _area(b) for a, b in zip(parts, leader, strict=True))


def _agree(part: nn.Module, leader: nn.Module) -> bool:
    if type(part) is not type(leader):
        return False
    if isinstance(part, nn.Conv2d) and isinstance(leader, nn.Conv2d):
        same = ("in_channels", "out_channels", "stride", "dilation", "groups")
        smaller = all(a <= b and a % 2 == b % 2 == 1 for a, b in zip(_size(part), _size(leader), strict=True))
        alike = all(getattr(part, name) == getattr(leader, name) for name in same)
        return smaller and alike and _centred(part) and _centred(leader)
    if isinstance(part, nn.BatchNorm2d) and isinstance(leader, nn.BatchNorm2d):
        same = ("num_features", "eps", "momentum", "affine", "track_running_stats")
        return all(getattr(part, name) == getattr(leader, name) for name in same)
    return next(part.parameters(), None) is None


def _centred(conv: nn.Conv2d) -> bool:
    return conv.bias is None and conv.padding_mode == "zeros" and conv.padding == padding_of(conv, _size(conv))


def _whole(conv: nn.Conv2d | Sliced) -> nn.Conv2d:
    return conv.whole if isinstance(conv, Sliced) else conv


def _size(conv: nn.Conv2d | Sliced) -> KernelSize:
    height, width = conv.size if isinstance(conv, Sliced) else conv.kernel_size
    return height, width


def _area(part: nn.Module) -> int:
    return part.kernel_size[0] * part.kernel_size[1] if isinstance(part, nn.Conv2d) else 0
