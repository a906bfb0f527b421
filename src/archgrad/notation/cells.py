"""DARTS' cells, in all the ways in which programs print them, as one: node by node the pairs (operation, input)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from archgrad.errors import ArchgradError, shown, unknown
from archgrad.notation import fairdarts, nasbench301, naslib, nni
from archgrad.notation.text import Call

SYNONYMS = {"reduction": "reduce", "reduction_concat": "reduce_concat"}
Pair = tuple[str, int]


class Nodes(NamedTuple):
    """A cell: what every node keeps, and the states that leave the cell, None where that is not said."""

    nodes: list[list[Pair]]
    concat: list[int] | None


def cells(data: Any, kinds: Sequence[str], inputs: int = 2) -> dict[str, Nodes] | None:
    """Cell → its nodes; None where the data are nothing of the kind. ``inputs``: the states that a cell reads.

    Known are calls and mappings with the fields normal, normal_concat, reduce and reduce_concat, or those of ``kinds``,
    by name or in this order; cells of pairs (operation, input),
    also with a weight behind each, in a row or node by node; pairs of numbers, (input, operation), as in `naslib`;
    triples as in `fairdarts`; and what NNI and NAS-Bench-301 write.
    """
    if nni.is_early(data) or nni.is_late(data) or nasbench301.is_configuration(data):
        read = nni.early if nni.is_early(data) else nni.late if nni.is_late(data) else nasbench301.cells
        return {kind: Nodes(_nodes(kind, nodes, inputs), None) for kind, nodes in read(data).items()}
    fields = _fields(data, kinds)
    if fields is None:
        return None
    known = [name for kind in kinds for name in (kind, f"{kind}_concat")]
    for name in fields:
        if name not in known:
            raise unknown("field of a DARTS genotype", name, known)
    found: dict[str, Nodes] = {}
    for kind in (kind for kind in kinds if kind in fields):
        cell, concat = fields[kind], _concat(kind, fields)
        cell = fairdarts.nodes(cell, inputs, concat) if fairdarts.is_edges(cell) else cell
        found[kind] = Nodes(_nodes(kind, cell, inputs), concat)
    return found


def called(name: str, cells: Mapping[str, Nodes], ranges: bool = True) -> str:
    """``Genotype(normal=[('op', input), …], normal_concat=range(2, 6), …)``; ``ranges``: or a list of the states."""
    row = {kind: [pair for node in cell.nodes for pair in node] for kind, cell in cells.items()}
    return with_cells(name, row, cells, ranges)


def with_cells(name: str, rows: Mapping[str, Any], cells: Mapping[str, Nodes], ranges: bool = True) -> str:
    """The same with the cells written in a way of their own."""
    shown = [
        f"{kind}={rows[kind]!r}, {kind}_concat={_states(cell.concat or [], ranges)}" for kind, cell in cells.items()
    ]
    return f"{name}({', '.join(shown)})"


def _states(states: Sequence[int], ranges: bool) -> str:
    whole = range(states[0], states[-1] + 1) if states else range(0)
    return repr(whole) if ranges and list(whole) == list(states) else repr(list(states))


def _fields(data: Any, kinds: Sequence[str]) -> dict[str, Any] | None:
    """The fields by name."""
    order = [name for kind in kinds for name in (kind, f"{kind}_concat")]
    if isinstance(data, Call):
        if len(data.arguments) > len(order):
            return None
        data = {**dict(zip(order, data.arguments, strict=False)), **data.fields}
    if isinstance(data, list) and len(data) in (len(order), len(kinds)) and all(isinstance(p, list) for p in data):
        data = dict(zip(order if len(data) == len(order) else kinds, data, strict=True))
    if not isinstance(data, dict) or not data:
        return None
    return {SYNONYMS.get(str(name), str(name)): value for name, value in data.items()}


def _concat(kind: str, fields: dict[str, Any]) -> list[int] | None:
    value = fields.get(f"{kind}_concat")
    if value is None:
        return None
    if not (isinstance(value, list) and all(naslib.is_number(state) for state in value)):
        raise ArchgradError(f"genotype: {kind}_concat must be a list of states, got {shown(value)}")
    return value


def _nodes(kind: str, cell: Any, inputs: int) -> list[list[Pair]]:
    if isinstance(cell, dict):
        return _numbered(kind, cell, inputs)
    if naslib.is_pairs(cell):
        cell = naslib.named(cell)
    if not isinstance(cell, list):
        raise ArchgradError(f"genotype: {kind} must be a list of pairs (operation, input), got {shown(cell)}")
    nested = bool(cell) and all(
        isinstance(node, list) and all(isinstance(pair, list) for pair in node) for node in cell
    )
    if not nested and len(cell) % 2:
        raise ArchgradError(f"genotype: {kind} needs two pairs (operation, input) per node, got {len(cell)} in all")
    nodes = cell if nested else [cell[place : place + 2] for place in range(0, len(cell), 2)]
    return [[_pair(kind, pair, inputs + number) for pair in node] for number, node in enumerate(nodes)]


def _numbered(kind: str, cell: dict[Any, Any], inputs: int) -> list[list[Pair]]:
    """Nodes by their number, which is that of their state."""
    numbers = {int(key): nodes for key, nodes in cell.items() if str(key).isdecimal()}
    expected = list(range(inputs, inputs + len(cell)))
    if sorted(numbers) != expected or not all(isinstance(node, list) for node in numbers.values()):
        raise ArchgradError(f"genotype: {kind} must have the nodes {expected}, got {shown(list(cell))}")
    return [[_pair(kind, pair, number) for pair in numbers[number]] for number in expected]


def _pair(kind: str, pair: Any, node: int) -> Pair:
    """The operation and the input of a pair, or of a triple with a weight or the node itself behind them."""
    parts = pair if isinstance(pair, list) else []
    names = [part for part in parts if isinstance(part, str)]
    numbers = [part for part in parts if naslib.is_number(part)]
    weights = [part for part in parts if isinstance(part, float)]
    if len(numbers) == 2 and len(parts) == 3 and numbers[1] == node:
        numbers.pop()
    if not (len(names) == len(numbers) == 1 and len(weights) <= 1 and 2 <= len(parts) <= 3):
        raise ArchgradError(f"genotype: node {node} of {kind} needs pairs (operation, input), got {shown(pair)}")
    return names[0], numbers[0]
