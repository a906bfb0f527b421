"""The units of a campaign, each of which has a run directory: searches, and trainings of what they found."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from archgrad.bench.protocol.document import NAME
from archgrad.errors import ArchgradError
from archgrad.foreign import files, plain

DONE = "unit.json"
"""Stands in a unit's directory once the unit is complete, and holds its record."""

SEARCH_ID = re.compile(r"search/([^/]+)/([^/]+)/seed-(0|[1-9]\d{0,18})")
TRAIN_ID = re.compile(r"train/([^/]+)/[0-9a-f]{16}/setting-([^/]+)/seed-(0|[1-9]\d{0,18})")
"""The names of units: a search's benchmark, method and seed, and a training's benchmark, setting and seed."""

Record = dict[str, Any]


class Unit(NamedTuple):
    """One search by a ``method``, or one training of a ``genotype`` in a ``setting``, whichever searches found it."""

    benchmark: str
    seed: int
    method: str = ""
    genotype: str = ""
    setting: str = ""

    @classmethod
    def of(cls, record: Any) -> Unit | None:
        """The unit that a record is of, None for what names none: other names could be paths out of the campaign."""
        if not isinstance(record, dict):
            return None
        given: list[Any] = [record.get(name) for name in cls._fields]
        benchmark, seed, method, genotype, setting = given
        if type(seed) is not int or not 0 <= seed < 2**63 or type(genotype) is not str:
            return None
        unit = cls(benchmark, seed, method, genotype, setting)
        names = (benchmark, setting) if setting != "" else (benchmark, method)
        return unit if all(map(_is_name, names)) and record.get("unit") == unit.id else None

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
def _is_name(name: Any) -> bool:
    """Whether it is the name of a benchmark, a method or a setting."""
    return isinstance(name, str) and re.fullmatch(NAME, name) is not None


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


NUMBERS = ("score", "top5", "test_loss", "loss", "parameters", "flops", "seconds", "finished", "wall")
MAPPINGS = ("task", "extra")


def is_record(found: Any) -> bool:
    """Whether it is the record of a unit, complete or failed, with all that those who read it rely on."""
    unit = Unit.of(found)
    if unit is None:
        return False
    if "problem" in found:
        return isinstance(found["problem"], str) and _is_number(found.get("finished", 0))
    if unit.setting and ("score" not in found or found["score"] is None):
        return False
    return all(_is_number(found[name]) for name in NUMBERS if name in found) and all(
        isinstance(found[name], dict) for name in MAPPINGS if name in found
    )


def _is_number(value: Any) -> bool:
    """Whether a record may have it for a number: none, or one that a float can hold."""
    return value is None or type(value) is float or (type(value) is int and abs(value) < 2**63)


def completed(directory: Path) -> Record | None:
    """The record of a complete unit, None for others; a damaged one is an ArchgradError."""
    path = directory / DONE
    remedy = f"delete {directory} to compute the unit again"
    try:
        record: Record = plain.read_json(path)
    except files.MissingError:
        return None
    except ArchgradError as error:
        raise ArchgradError(f"{error}; {remedy}") from None
    if not is_record(record) or not directory.as_posix().endswith(f"/{record['unit']}"):
        raise ArchgradError(f"{path} is not the record of this unit; {remedy}")
    return record
