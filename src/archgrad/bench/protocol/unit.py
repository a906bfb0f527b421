"""The units of a campaign: one search, or one training of what a search found; each is one run directory."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from archgrad.errors import ArchgradError

DONE = "unit.json"
"""Stands in a unit's directory once the unit is complete, and holds its record."""

Record = dict[str, Any]


class Unit(NamedTuple):
    """One search (without ``setting``), or one training.

    ``seed``: of the search, and of the training with it. ``among``: where only one of several searches goes on, their
    seeds; the seed of the training is then that of the first.
    """

    benchmark: str
    method: str
    seed: int
    setting: str = ""
    among: tuple[int, ...] = ()

    @property
    def kind(self) -> str:
        """``search`` or ``train``."""
        return "train" if self.setting else "search"

    @property
    def id(self) -> str:
        """The path of the unit's directory in the campaign's."""
        if not self.setting:
            return f"search/{self.benchmark}/{self.method}/seed-{self.seed}"
        whose = f"best-of-{'-'.join(map(str, self.among))}" if self.among else f"seed-{self.seed}"
        return f"train/{self.benchmark}/{self.method}/{whose}/setting-{self.setting}"

    @property
    def needs(self) -> tuple[str, ...]:
        """The searches that must be done before."""
        if not self.setting:
            return ()
        return tuple(Unit(self.benchmark, self.method, seed).id for seed in self.among or (self.seed,))


def lowest_loss(searches: Sequence[Record]) -> Record:
    """The search with the lowest supernet validation loss, the first of equal ones."""
    return min(searches, key=lambda record: math.inf if record.get("loss") is None else record["loss"])


def training_seed(unit: Unit) -> int:
    """The seed of a training: of a choice among searches it must not depend on which of them was chosen."""
    return min(unit.among) if unit.among else unit.seed


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
