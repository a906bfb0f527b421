"""Published genotypes by name: who found them, where they are written down, and what was measured with them.

`zoo.json` holds them as data. Names stand wherever a genotype does: ``archgrad train --genotype pdarts``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from archgrad.errors import unknown


@dataclass(frozen=True)
class Measured:
    """What somebody measured with a published genotype.

    ``error``, ``top5_error``, ``deviation``: of the test set, in %; None where only sizes are published.
    ``parameters_m``, ``flops_m``: in millions. ``source``: where the numbers stand.
    """

    data: str
    source: str
    error: float | None = None
    top5_error: float | None = None
    deviation: float | None = None
    parameters_m: float | None = None
    flops_m: float | None = None

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:g}"
        top5 = "" if self.top5_error is None else f", top-5 {self.top5_error:g} %"
        error = "" if self.error is None else f"error {self.error:g}{spread} %{top5}"
        parameters = "" if self.parameters_m is None else f"{self.parameters_m:g} M parameters"
        flops = "" if self.flops_m is None else f"{self.flops_m:g} M FLOPs"
        return f"{self.data}: {', '.join(filter(None, [error, parameters, flops]))} ({self.source})"


@dataclass(frozen=True)
class Published:
    """A published genotype.

    ``space``, ``fields``: of which space it is, and in which size and with what stem it was published. ``classes``: of
    the data for which that size is. ``searched_on``: the data of the search. ``source``: repository and commit, file,
    line and name. ``genotype``: in the notation of the space.
    """

    name: str
    title: str
    paper: str
    space: str
    fields: Mapping[str, Any]
    classes: int
    searched_on: str
    source: str
    genotype: str
    results: tuple[Measured, ...]

    @property
    def url(self) -> str:
        """The paper."""
        return f"https://arxiv.org/abs/{self.paper}"


@cache
def published() -> dict[str, Published]:
    """All of them by name."""
    entries = json.loads(resources.files(__package__).joinpath("zoo.json").read_text(encoding="utf-8"))
    return {e["name"]: Published(**{**e, "results": tuple(Measured(**one) for one in e["results"])}) for e in entries}


def get(name: str) -> Published:
    """The published genotype of that name."""
    if name not in published():
        raise unknown("published genotype", name, published())
    return published()[name]


def named(text: str) -> Published | None:
    """The published genotype that a text names, if it is the name of one."""
    return published().get(text) if text.isidentifier() else None


def notation(text: str) -> str:
    """The notation of a published genotype instead of its name; any other text as it is."""
    found = named(text)
    return found.genotype if found else text
