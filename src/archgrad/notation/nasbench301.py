"""DARTS' cells as configurations of NAS-Bench-301 write them: operations by edge, and the inputs of nodes 3 to 5."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from archgrad.errors import ArchgradError, shown

EDGE = re.compile(r"(?:.*:)?edge_(normal|reduce)_(\d+)")
INPUTS = "inputs_node_{}_{}"
PREFIX = "NetworkSelectorDatasetInfo:darts:"


def is_configuration(data: Any) -> bool:
    """Whether it is ``{"NetworkSelectorDatasetInfo:darts:edge_normal_0": "sep_conv_3x3", …}``."""
    return isinstance(data, dict) and any(EDGE.fullmatch(str(key)) for key in data)


def cells(data: dict[str, Any]) -> dict[str, dict[int, list[Any]]]:
    """Cell → node → its pairs (operation, input); edges are numbered node by node, and node 2 reads both inputs.

    *Source:* Siems et al., NAS-Bench-301, arXiv 2008.09777, and the configuration space of its code.
    """
    short = {str(key).rpartition(":")[2]: value for key, value in data.items()}
    found: dict[str, dict[int, list[Any]]] = {}
    for cell in sorted({match[1] for key in short if (match := EDGE.fullmatch(key))}):
        first = 0
        for node in range(2, 6):
            key = INPUTS.format(cell, node)
            inputs = re.fullmatch(r"(\d)_(\d)", str(short.get(key, "0_1" if node == 2 else "")))
            if inputs is None:
                raise ArchgradError(f"genotype: {key!r} must be two inputs as '0_1', got {shown(short.get(key))}")
            for source in map(int, inputs.groups()):
                edge = f"edge_{cell}_{first + source}"
                if edge not in short:
                    raise ArchgradError(f"genotype: {key!r} reads state {source}, but there is no {edge!r}")
                found.setdefault(cell, {}).setdefault(node, []).append([short[edge], source])
            first += node
    return found


def written(cells: Mapping[str, list[list[tuple[str, int]]]]) -> dict[str, str]:
    """The inverse of `cells`: the part of a configuration that says which cells."""
    found: dict[str, str] = {}
    for cell, nodes in cells.items():
        first = 0
        for number, node in enumerate(nodes, 2):
            found |= {f"{PREFIX}edge_{cell}_{first + source}": name for name, source in node}
            if number > 2:
                found[PREFIX + INPUTS.format(cell, number)] = "_".join(str(s) for s in sorted(s for _, s in node))
            first += number
    return found
