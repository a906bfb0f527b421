"""What modifiers share: the way to the cells and candidates of a supernet."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from archgrad.choice import Choice
from archgrad.engine import Cell
from archgrad.errors import ArchgradError
from archgrad.supernet import Supernet


def cells(owner: str, supernet: Supernet) -> list[Cell]:
    """All cells; refused where there are none."""
    found = [module for module in supernet.network.modules() if isinstance(module, Cell)]
    if not found:
        raise ArchgradError(f"{owner} changes the cells of a supernet (archgrad.engine.Cell), and this one has none")
    return found


def candidates(supernet: Supernet) -> Iterator[tuple[nn.ModuleDict, str]]:
    """All candidate operations, as (where they are kept, their name there)."""
    for module in supernet.network.modules():
        kept = [module.candidates] if isinstance(module, Choice) else []
        kept += list(module.operations) if isinstance(module, Cell) else []  # type: ignore[arg-type]
        for owner in kept:
            yield from ((owner, name) for name in list(owner))
