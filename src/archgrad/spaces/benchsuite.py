"""The spaces of the DARTS benchmark suite: three subspaces, each with three sets of operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from archgrad.errors import unknown
from archgrad.genotype import Genotype
from archgrad.operations.cost import Complexity
from archgrad.spaces.darts import OPERATIONS, Darts
from archgrad.spaces.space import Space, described
from archgrad.supernet import Supernet


class _Sized(Darts):
    """A space whose networks, searched or settled, have a size of their own."""

    def supernet(self, **options: Any) -> Supernet:
        """As in `Darts`; channels and cells of the suite by default."""
        return super().supernet(**{**self.search_size, **options})

    def network(self, genotype: Genotype, **options: Any) -> nn.Module:
        """As in `Darts`; channels and cells of the suite by default."""
        return super().network(genotype, **{**self.network_size, **options})

    def cost(self, genotype: Genotype, **options: Any) -> Complexity:
        """As in `Darts`; channels and cells of the suite by default."""
        return super().cost(genotype, **{**self.network_size, **options})


@dataclass(frozen=True)
class Wide(_Sized):
    """The suite's wide subspace: four cells of 18 channels."""

    search_size: ClassVar[Mapping[str, int]] = {"channels": 18, "cells": 4}
    network_size: ClassVar[Mapping[str, int]] = search_size


@dataclass(frozen=True)
class Deep(_Sized):
    """The suite's deep subspace: 18 cells of seven channels."""

    search_size: ClassVar[Mapping[str, int]] = {"channels": 7, "cells": 18}
    network_size: ClassVar[Mapping[str, int]] = search_size


@dataclass(frozen=True)
class SingleCell(_Sized):
    """The suite's subspace of one reduction cell, with eight nodes and 44 edges; the last four nodes leave."""

    steps: int = 8
    kinds: tuple[str, ...] = ("reduce",)
    search_size: ClassVar[Mapping[str, int]] = {"channels": 26, "cells": 1}
    network_size: ClassVar[Mapping[str, int]] = search_size


SUBSPACES: dict[str, Callable[..., Darts]] = {"wide": Wide, "deep": Deep, "single_cell": SingleCell}
OPERATION_SETS: dict[str, dict[str, Any]] = {
    "regular": {},
    "no_skip": {"candidates": tuple(name for name in OPERATIONS if name != "skip_connect")},
    "all_skip": {"auxiliary_skip": True},
}
_IN_WORDS = {
    "regular": "The eight operations of DARTS.",
    "no_skip": "The operations of DARTS without skip connections.",
    "all_skip": "The eight operations of DARTS, and beside every edge an auxiliary skip connection.",
}


def benchsuite(subspace: str = "wide", operation_set: str = "regular") -> Darts:
    """A space of the suite; its settled networks have the channels and cells of the supernet.

    Settled networks with auxiliary skip connections have one beside every edge that they keep.

    *Source:* arXiv 2507.16533, the DARTS benchmark suite.
    """
    if subspace not in SUBSPACES:
        raise unknown("subspace", subspace, SUBSPACES)
    if operation_set not in OPERATION_SETS:
        raise unknown("operation set", operation_set, OPERATION_SETS)
    return SUBSPACES[subspace](name=f"{subspace}-{operation_set}", **OPERATION_SETS[operation_set])


SPACES: dict[str, Callable[..., Space]] = {
    f"{subspace}-{operation_set}": described(
        f"{SUBSPACES[subspace].__doc__} {_IN_WORDS[operation_set]}", benchsuite, subspace, operation_set
    )
    for subspace in SUBSPACES
    for operation_set in OPERATION_SETS
}
"""The nine spaces by name, as `wide-regular`."""
