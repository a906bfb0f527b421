"""Cells of NAS-Bench-201 as programs print them."""

from __future__ import annotations

import re
from typing import Any

from archgrad.errors import ArchgradError, shown
from archgrad.notation.text import Call

TEXT = re.compile(r"\|[^|~'\"]+~\d\|(?:[^'\"()]*\|)?")
KEY = re.compile(r"(?:.*/)?(\d)_(\d)")


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


def _pair(pair: Any) -> tuple[str, int]:
    match pair:
        case [str() as name, int() as source] | [str() as name, int() as source, float()]:
            return name, source
    raise ArchgradError(f"nasbench201: a node needs pairs (operation, input), got {shown(pair)}")
