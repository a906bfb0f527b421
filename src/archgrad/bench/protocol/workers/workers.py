"""What all workers answer."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from archgrad.bench.protocol.unit import Record, Unit


class Job(NamedTuple):
    """A unit to compute: everything else about it stands in the campaign's directory.

    ``trust``: whether code that the campaign names is run.
    """

    directory: Path
    unit: Unit
    device: str | None = None
    trust: bool = False


class Outcome(NamedTuple):
    """A record, or a problem in one line. ``died``: its process ended before it could say anything."""

    unit: Unit
    record: Record | None
    problem: str = ""
    died: bool = False


class Workers(ABC):
    """Those who compute jobs, a few at a time: a pool of processes, or a cluster."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many jobs they want at once; the rest waits with the driver."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Start a job; there is room for it."""

    @abstractmethod
    def wait(self, seconds: float) -> list[Outcome]:
        """What has ended since the last time; waits for the first so long."""

    @abstractmethod
    def close(self) -> None:
        """End everything that still runs; what it has computed is on disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def processors() -> int:
    """The processors that this process may use."""
    affinity: Any = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
