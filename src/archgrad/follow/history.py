"""The records of a run, of which only the new ones are read each time, and the curves that they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.foreign import files, plain
from archgrad.reading import Reading
from archgrad.rundir import METRICS
from archgrad.summary import Summary, number

MOST = 1 << 28
"""Bytes of metrics that are read for curves."""


class History:
    """The records of a run in progress; a file that became shorter, or another one, is read from its beginning."""

    def __init__(self, directory: Path):
        self.path = directory / METRICS
        self.records: list[dict[str, Any]] = []
        self._file: tuple[int, int] | None = None
        self._offset = 0

    def update(self) -> list[dict[str, Any]]:
        """Read what has been appended, and return it; lines that are damaged are passed over."""
        try:
            with files.opened(self.path, follow=False) as file:
                found = os.fstat(file.fileno())
                if (found.st_dev, found.st_ino) != self._file or found.st_size < self._offset:
                    self._file, self._offset, self.records = (found.st_dev, found.st_ino), 0, []
                file.seek(self._offset)
                data = file.read(max(0, MOST - self._offset))
        except (ArchgradError, OSError):  # not there yet, or for a moment not
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        new = [record for line in data[:end].splitlines() if (record := _record(line)) is not None]
        self.records += new
        return new


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        return plain.json_object(line, METRICS)
    except ArchgradError:
        return None


@dataclass(frozen=True)
class Curve:
    """A measure over the epochs of a run, or over the architectures that it scored."""

    name: str
    label: str
    values: tuple[float | None, ...]
    reading: Reading
    unit: str = "epoch"

    @property
    def last(self) -> float | None:
        """The last value that is known."""
        return next((value for value in reversed(self.values) if value is not None), None)

    def written(self, value: float) -> str:
        """A value for people."""
        return self.reading.written(self.name, value)


PARTS = {"evaluation": "supernet", "validation": "validation", "test": "test", "train": "training"}


def curves(run: Summary, records: Sequence[dict[str, Any]]) -> list[Curve]:
    """What there is to see of a run: first the measure that counts, then the losses."""
    reading = Reading.of(run.config.get("task"))
    if run.kind == "proxy search":
        return _proxies(records)
    known = {name for record in records for name in record}
    names = [(part, measure) for measure in (reading.primary, "loss") for part in PARTS]
    found = [(part, measure, f"{part}_{measure}") for part, measure in names if f"{part}_{measure}" in known]
    parts = PARTS if run.kind == "training" else {**PARTS, "validation": "alpha step"}
    return [
        Curve(
            measure,
            f"{parts[part]} {reading.label(measure)}",
            tuple(number(record.get(name)) for record in records),
            reading,
        )
        for part, measure, name in found
    ]


def _proxies(records: Sequence[dict[str, Any]]) -> list[Curve]:
    """The best score so far, per proxy."""
    scores = [record["scores"] for record in records if isinstance(record.get("scores"), dict)]
    found = []
    for name in dict.fromkeys(name for each in scores for name in each):
        best: list[float | None] = []
        for each in scores:
            best.append(max((v for v in (*best[-1:], number(each.get(name))) if v is not None), default=None))
        found.append(
            Curve(str(name), f"best {name}", tuple(best), Reading(primary=str(name), shares=()), "architecture")
        )
    return found
