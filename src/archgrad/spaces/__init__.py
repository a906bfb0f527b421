"""Search spaces by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from archgrad.errors import ArchgradError, unknown
from archgrad.spaces import zoo
from archgrad.spaces.benchsuite import SPACES as BENCHSUITE
from archgrad.spaces.darts import OPERATIONS as DARTS_OPERATIONS
from archgrad.spaces.darts import Darts
from archgrad.spaces.nasbench1shot1 import PARENTS, NASBench1Shot1
from archgrad.spaces.nasbench201 import NASBench201
from archgrad.spaces.nasnet import NASNet
from archgrad.spaces.robust_darts import SUBSPACES, RobustDarts
from archgrad.spaces.space import Notation, Size, Space, described
from archgrad.spaces.transnasbench101 import TransNASBench101


def _darts_without_none(**options: Any) -> Darts:
    """DARTS with its seven operations other than ``none``."""
    return Darts(**{"name": "darts_without_none", "candidates": DARTS_OPERATIONS[1:], **options})


SPACES: dict[str, Callable[..., Space]] = {
    "darts": Darts,
    "darts_without_none": _darts_without_none,
    "nasbench201": NASBench201,
    "nasnet": NASNet,
    "transnasbench101": TransNASBench101,
    **BENCHSUITE,
    **{
        f"nasbench1shot1_{number}": described(NASBench1Shot1.__doc__, NASBench1Shot1, number=number)
        for number in PARENTS
    },
    **{f"robust_darts_{s.lower()}": described(RobustDarts.__doc__, RobustDarts, subspace=s) for s in SUBSPACES},
}
"""The spaces by name; the docstring of each says what it is."""


USUAL = "nasbench201"
"""Where none is named."""


def get(name: str, **fields: Any) -> Space:
    """The space of that name; ``fields``: its sizes, ``channels`` and ``cells``, and all its other fields."""
    if name not in SPACES:
        raise unknown("space", name, SPACES)
    space: Any = SPACES[name]()
    for field in fields:
        if field not in space.fields:
            raise unknown(f"field of the space {name!r}", field, space.fields)
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return replace(space, **given)  # type: ignore[no-any-return]


def of_genotype(genotype: str, name: str | None = None, **fields: Any) -> Space:
    """The space that a genotype is of: the one named, that of a published genotype by its name, or the usual one.

    ``fields``: laid over those with which a published one was published.
    """
    if name is None and (found := zoo.named(genotype)) is not None:
        return get(found.space, **{**found.fields, **fields})
    return get(name or USUAL, **fields)


def record(space: Space) -> dict[str, Any]:
    """The space as a run keeps it: its name, and the fields that are not those of the space of that name."""
    usual = SPACES[space.name]().fields if space.name in SPACES else {}
    chosen = {key: value for key, value in space.fields.items() if key not in usual or value != usual[key]}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in chosen.items()}
    return {"space": space.name, "space_fields": plain}


def recorded(config: Mapping[str, Any], **fields: Any) -> Space:
    """The space that `record` wrote into a configuration, with some fields changed."""
    name, given = config.get("space"), config.get("space_fields", {})
    if not isinstance(name, str) or not isinstance(given, dict):
        raise ArchgradError(
            f"the run's space must be a name and its space_fields a mapping, got {name!r} and {given!r}"
        )
    try:
        return get(name, **{**given, **fields})
    except (TypeError, ValueError, AttributeError) as error:
        raise ArchgradError(f"the run's space_fields do not fit the space {name!r}: {error}") from None


__all__ = [
    "SPACES",
    "USUAL",
    "Darts",
    "NASBench1Shot1",
    "NASBench201",
    "NASNet",
    "Notation",
    "RobustDarts",
    "Size",
    "Space",
    "TransNASBench101",
    "get",
    "of_genotype",
    "record",
    "recorded",
    "zoo",
]
