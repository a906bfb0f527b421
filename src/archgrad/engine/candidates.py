"""The way to the cells and candidate operations of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from archgrad.choice import Choice, Site
from archgrad.engine.cell import Cell
from archgrad.errors import ArchgradError
from archgrad.genotype import Group


@dataclass(frozen=True)
class Candidate:
    """One operation of an edge of a site; ``owner`` keeps it under its ``name``, where it may be replaced."""

    group: Group
    site: int
    edge: int
    name: str
    owner: nn.ModuleDict

    @property
    def module(self) -> nn.Module:
        """The operation."""
        return self.owner[self.name]

    @property
    def column(self) -> int | None:
        """Its column in alphas; None for what a modifier computes beside the candidates."""
        operations = self.group.operations
        return operations.index(self.name) if self.name in operations else None


def candidates(network: nn.Module) -> list[Candidate]:
    """All of a network, nested ones included, site by site in the order of mixtures."""
    sites: dict[str, int] = {}
    found = []
    for module in network.modules():
        if not isinstance(module, Site):
            continue
        name = module.group.name
        sites[name] = sites.get(name, -1) + 1
        owners = list(module.operations) if isinstance(module, Cell) else []
        owners += [module.candidates] if isinstance(module, Choice) else []
        for edge, owner in enumerate(owners):
            assert isinstance(owner, nn.ModuleDict)
            found += [Candidate(module.group, sites[name], edge, key, owner) for key in owner]
    return found


def cells_of(network: nn.Module) -> list[Cell]:
    """All cells of a network."""
    return [module for module in network.modules() if isinstance(module, Cell)]


def choices_of(network: nn.Module) -> list[Choice]:
    """All choices among operations that a network has outside of cells."""
    return [module for module in network.modules() if isinstance(module, Choice)]


def lacking(component: Any) -> ArchgradError:
    """The refusal of a network that has nothing which a component could work on."""
    return ArchgradError(f"{type(component).__name__} needs {component.needs}; this network has none")


def cells(component: Any, network: nn.Module) -> list[Cell]:
    """All cells of a network; refused, in the words of the component that needs them, where there are none."""
    found = cells_of(network)
    if not found:
        raise lacking(component)
    return found
