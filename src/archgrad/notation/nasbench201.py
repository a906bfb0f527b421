"""Cells of NAS-Bench-201 as programs print them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from archgrad.errors import ArchgradError, shown
from archgrad.notation.text import Call

TEXT = re.compile(r"\|[^|~'\"]+~\d\|(?:[^'\"()]*\|)?")
KEY = re.compile(r"(?:.*/)?(\d)_(\d)")


def of_nodes(text: str, space: str) -> dict[tuple[int, int], str]:
    """(source, target) → operation, from ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``, whatever stands around it."""
    text = inside(text)
    nodes = text.split("+")
    if len(nodes) != 3:
        raise ArchgradError(
            f"{space}: {shown(text)} is neither six digits nor three nodes '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'"
        )
    found: dict[tuple[int, int], str] = {}
    for number, node in enumerate(nodes, start=1):
        entries = node.strip().strip("|").split("|")
        if len(entries) != number:
            raise ArchgradError(f"{space}: node {number} in {text!r} needs {number} inputs, got {len(entries)}")
        for source, entry in enumerate(entries):
            name, _, state = entry.partition("~")
            if state != str(source):
                raise ArchgradError(f"{space}: {entry!r} in {text!r} should end with '~{source}'")
            found[source, number] = name
    return found


def by_node_text(edges: Mapping[tuple[int, int], str]) -> str:
    """The inverse of `of_nodes`."""
    return "+".join(f"|{'|'.join(f'{name}~{source}' for name, source in node)}|" for node in by_node(edges))


def inside(text: str) -> str:
    """``|op~0|+|…|`` from a text that says more, as ``Structure(4 nodes with |op~0|+|…|)``; else the text itself."""
    found = None if text.startswith("|") else TEXT.search(text)
    return found[0] if found else text


def edges(data: Any) -> dict[tuple[int, int], str] | None:
    """(source, target) → operation; None where the data are nothing of the kind.

    Known are node by node the pairs (operation, source), with a weight behind each or not, and ``{"0_1": op, …}`` with
    any prefix, as NNI writes it. Six numbers are refused: they mean other operations, on other edges, in NASLib than in
    the digits that are written here.
    """
    if isinstance(data, Call) and len(data.arguments) == 1 and not data.fields:
        (data,) = data.arguments
    if isinstance(data, dict):
        places = {key: KEY.fullmatch(str(key)) for key in data}
        found = {(int(place[1]), int(place[2])): str(data[key]) for key, place in places.items() if place}
        return found or None
    if not isinstance(data, list):
        return None
    if len(data) == 6 and all(type(value) is int for value in data):
        raise ArchgradError(
            "nasbench201: six numbers in brackets mean other operations in NASLib than elsewhere: write the digits as "
            "333133, or the names of the operations"
        )
    if not data or not all(isinstance(node, list) for node in data):
        return None
    return {(source, target): name for target, node in enumerate(data, 1) for name, source in map(_pair, node)}


def by_node(edges: Mapping[tuple[int, int], str]) -> list[tuple[tuple[str, int], ...]]:
    """Node by node the pairs (operation, source), from (source, target) → operation."""
    targets = sorted({target for _, target in edges})
    return [tuple((edges[source, target], source) for source in range(target)) for target in targets]


def keyed(edges: Mapping[tuple[int, int], str], names: Mapping[str, str]) -> str:
    """``{"0_1": op, …}`` as NNI writes it; ``names``: what it calls operations."""
    return json.dumps({f"{s}_{t}": names.get(name, name) for (s, t), name in edges.items()})


def _pair(pair: Any) -> tuple[str, int]:
    match pair:
        case [str() as name, int() as source] | [str() as name, int() as source, float()]:
            return name, source
    raise ArchgradError(f"nasbench201: a node needs pairs (operation, input), got {shown(pair)}")
