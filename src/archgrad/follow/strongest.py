"""The operations that are ahead in a search, as its alphas are after the last epoch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from archgrad.errors import ArchgradError
from archgrad.follow.whole import whole
from archgrad.foreign import files, plain
from archgrad.report.rundata import GroupShape
from archgrad.report.weights import shares
from archgrad.rundir import INPUTS

EDGE = re.compile(r"(\d+) → (\d+): (.+)")


class Lead(NamedTuple):
    """An edge, and its candidates with their shares of softmax(α), the strongest first."""

    group: str
    edge: str
    candidates: list[tuple[str, float]]


def strongest(directory: Path) -> list[Lead]:
    """Every edge of a search; empty where it has no alphas, or does not say what they are of."""
    data = whole(directory)
    groups = data.groups or _of_inputs(directory)
    found = []
    for name, alphas in data.alphas.items():
        shape = groups.get(name)
        if shape is None or not len(alphas) or alphas.shape[1:] != (len(shape.edges), len(shape.operations)):
            continue
        for (source, target), row in zip(shape.edges, shares(alphas[-1:])[0], strict=True):
            ordered = sorted(zip(shape.operations, row.tolist(), strict=True), key=lambda pair: -pair[1])
            found.append(Lead(name, f"{source}→{target}", ordered))
    return found


def _of_inputs(directory: Path) -> dict[str, GroupShape]:
    """The groups of a user's own network, which the run recorded at its start."""
    try:
        with files.opened(directory / INPUTS, follow=False) as file:
            recorded = plain.json_object(file.read(plain.YAML), INPUTS)
        groups = recorded["network"]["groups"]
        return {str(name): _shape(group["edges"]) for name, group in groups.items()}
    except (ArchgradError, OSError, LookupError, TypeError, ValueError, AttributeError):
        return {}


def _shape(edges: Sequence[str]) -> GroupShape:
    parts = [EDGE.fullmatch(edge) for edge in edges]
    read = [(int(part[1]), int(part[2]), part[3].split(", ")) for part in parts if part]
    operations = dict.fromkeys(name for _, _, names in read for name in names)
    return GroupShape(tuple(operations), tuple((source, target) for source, target, _ in read), 1)
