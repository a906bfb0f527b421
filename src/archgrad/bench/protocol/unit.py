"""The units of a campaign, each of which has a run directory: searches, and trainings of what they found."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from archgrad.errors import ArchgradError

DONE = "unit.json"
"""Stands in a unit's directory once the unit is complete, and holds its record."""

Record = dict[str, Any]


class Unit(NamedTuple):
    """One search by a ``method``, or one training of a ``genotype`` in a ``setting``, whichever searches found it."""

    benchmark: str
    seed: int
    method: str = ""
    genotype: str = ""
    setting: str = ""

    @property
    def kind(self) -> str:
        """``search`` or ``train``."""
        return "train" if self.setting else "search"

    @property
    def id(self) -> str:
        """The path of the unit's directory in the campaign's."""
        if self.setting:
            return f"train/{self.benchmark}/{_short(self.genotype)}/setting-{self.setting}/seed-{self.seed}"
        return f"search/{self.benchmark}/{self.method}/seed-{self.seed}"


@lru_cache(maxsize=100_000)
def _short(genotype: str) -> str:
    """A genotype's notation is too long for the name of a directory."""
    return hashlib.sha256(genotype.encode()).hexdigest()[:16]


class Trial(NamedTuple):
    """One repetition of a method on a benchmark: of its searches, one per seed, one is chosen and trained."""

    benchmark: str
    method: str
    seeds: tuple[int, ...]

    @property
    def searches(self) -> list[Unit]:
        """Its searches."""
        return [Unit(self.benchmark, seed, self.method) for seed in self.seeds]

    def chosen(self, records: Mapping[str, Record]) -> Record | None:
        """The search with the lowest supernet validation loss, the first of equal ones; None while one is missing."""
        found = [records.get(search.id) for search in self.searches]
        complete = [record for record in found if record is not None and "problem" not in record]
        if len(complete) < len(found):
            return None
        return min(complete, key=lambda record: math.inf if record.get("loss") is None else record["loss"])

    def trainings(self, search: Record, settings: Sequence[str]) -> list[Unit]:
        """The trainings of what the chosen search found; their seed does not depend on which one was chosen."""
        genotype, seed = search["genotype"], min(self.seeds)
        return [Unit(self.benchmark, seed, genotype=genotype, setting=setting) for setting in settings]


def completed(directory: Path) -> Record | None:
    """The record of a complete unit, None for others; a damaged one is an ArchgradError."""
    path = directory / DONE
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise ArchgradError(f"cannot read {path}: {reason}; delete {directory} to compute the unit again") from None
    if not isinstance(record, dict) or "unit" not in record:
        raise ArchgradError(f"{path} is not the record of a unit; delete {directory} to compute the unit again")
    return record
