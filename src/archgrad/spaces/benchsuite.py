"""The spaces of the DARTS benchmark suite: three subspaces, each with three sets of operations.

The suite gives the sizes of its supernets as 1.50, 1.03 and 1.08 M (wide, deep, single cell), ours have 1.40, 0.99 and
1.00 M weights. The cells' candidates agree to the last weight. The published number counts all parameters of a network
that always holds auxiliary skip connections, the layers of operation attention, and alphas and edge weights, whether a
search uses them or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from archgrad.errors import unknown
from archgrad.spaces.darts import OPERATIONS, Darts
from archgrad.spaces.space import Size, Space, described


@dataclass(frozen=True)
class Wide(Darts):
    """The suite's wide subspace: four cells of 18 channels."""

    published_supernet = published_network = Size(18, 4)


@dataclass(frozen=True)
class Deep(Darts):
    """The suite's deep subspace: 18 cells of seven channels."""

    published_supernet = published_network = Size(7, 18)


@dataclass(frozen=True)
class SingleCell(Darts):
    """The suite's subspace of one reduction cell, with eight nodes and 44 edges; the last four nodes leave."""

    steps: int = 8
    kinds: tuple[str, ...] = ("reduce",)
    published_supernet = published_network = Size(26, 1)


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
