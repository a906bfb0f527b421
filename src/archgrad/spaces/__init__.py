"""Search spaces by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from archgrad.errors import ArchgradError, unknown
from archgrad.spaces.benchsuite import SPACES as BENCHSUITE
from archgrad.spaces.darts import OPERATIONS as DARTS_OPERATIONS
from archgrad.spaces.darts import Darts
from archgrad.spaces.nasbench1shot1 import PARENTS, NASBench1Shot1
from archgrad.spaces.nasbench201 import NASBench201
from archgrad.spaces.robust_darts import SUBSPACES, RobustDarts
from archgrad.spaces.space import Space, described
from archgrad.spaces.transnasbench101 import TransNASBench101


def _darts_without_none(**options: Any) -> Darts:
    """DARTS with its seven operations other than ``none``."""
    return Darts(**{"name": "darts_without_none", "candidates": DARTS_OPERATIONS[1:], **options})


SPACES: dict[str, Callable[..., Space]] = {
    "darts": Darts,
    "darts_without_none": _darts_without_none,
    "nasbench201": NASBench201,
    "transnasbench101": TransNASBench101,
    **BENCHSUITE,
    **{
        f"nasbench1shot1_{number}": described(NASBench1Shot1.__doc__, NASBench1Shot1, number=number)
        for number in PARENTS
    },
    **{f"robust_darts_{s.lower()}": described(RobustDarts.__doc__, RobustDarts, subspace=s) for s in SUBSPACES},
}
"""The spaces by name; the docstring of each says what it is."""


def get(name: str, **options: Any) -> Space:
    """The space of that name; ``options`` are its fields (``darts``: candidates, steps, multiplier)."""
    if name not in SPACES:
        raise unknown("space", name, SPACES)
    try:
        return SPACES[name](**options)
    except TypeError as error:
        raise ArchgradError(f"space {name!r}: {error}") from None


__all__ = [
    "SPACES",
    "Darts",
    "NASBench1Shot1",
    "NASBench201",
    "RobustDarts",
    "Space",
    "TransNASBench101",
    "get",
]
