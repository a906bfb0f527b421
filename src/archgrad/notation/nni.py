"""DARTS' cells as NNI exports them, in the words of its first versions and of its later ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from archgrad.errors import ArchgradError, shown
from archgrad.notation import naslib

EARLY = re.compile(r"(normal|reduce)_n(\d+)_(p(\d+)|switch)")
LATE = re.compile(r"(?:model/)?(normal|reduce)/(op|input)_(\d+)_(\d+)")


def is_early(data: Any) -> bool:
    """Whether it is ``{"normal_n2_p0": "sepconv3x3", …, "normal_n2_switch": ["normal_n2_p0", …]}``."""
    return isinstance(data, dict) and any(EARLY.fullmatch(str(key)) for key in data)


def is_late(data: Any) -> bool:
    """Whether it is ``{"normal/op_2_0": "sep_conv_3x3", "normal/input_2_0": 0, …}``."""
    return isinstance(data, dict) and any(LATE.fullmatch(str(key)) for key in data)


def early(data: dict[str, Any]) -> dict[str, dict[int, list[Any]]]:
    """Cell → node → its pairs (operation, input): those that the node's switch names, or all that there are."""
    found: dict[str, dict[int, list[Any]]] = {}
    for key, value in data.items():
        place = EARLY.fullmatch(str(key))
        if place is None or place[4] is None:
            continue
        cell, node, source = place[1], int(place[2]), int(place[4])
        switch = data.get(f"{cell}_n{node}_switch")
        nodes = found.setdefault(cell, {})
        nodes.setdefault(node, [])
        name = _chosen(value)
        if name is not None and (switch is None or key in _listed(switch) or source in _listed(switch)):
            nodes[node].append([name, source])
    return found


def late(data: dict[str, Any]) -> dict[str, dict[int, list[Any]]]:
    """Cell → node → its pairs (operation, input)."""
    found: dict[str, dict[int, list[Any]]] = {}
    for key, value in data.items():
        place = LATE.fullmatch(str(key))
        if place is None or place[2] != "op":
            continue
        other = key.replace("op_", "input_")
        inputs = _listed(data.get(other))
        if len(inputs) != 1 or not naslib.is_number(inputs[0]):
            raise ArchgradError(f"genotype: {other!r} must be the one input of {key!r}, got {shown(data.get(other))}")
        found.setdefault(place[1], {}).setdefault(int(place[3]), []).append([value, inputs[0]])
    return found


def written(cells: Mapping[str, list[list[tuple[str, int]]]], first: int) -> dict[str, Any]:
    """What later versions export, from the nodes of every cell."""
    found: dict[str, Any] = {}
    for cell, nodes in cells.items():
        for number, node in enumerate(nodes, first):
            for place, (name, source) in enumerate(node):
                found |= {f"{cell}/op_{number}_{place}": name, f"{cell}/input_{number}_{place}": source}
    return found


def _chosen(value: Any) -> str | None:
    """The operation of an input, by name or by number; None where the input is not read."""
    if isinstance(value, dict):  # {"_value": "sepconv3x3", "_idx": 3}
        value = value.get("_value")
    for chosen in _listed(value):
        return naslib.operation(chosen) if naslib.is_number(chosen) else str(chosen)
    return None


def _listed(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = value.get("_value")
    return value if isinstance(value, list) else [] if value is None else [value]
