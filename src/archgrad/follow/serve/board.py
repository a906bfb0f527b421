"""The runs below a directory as they are now, and which of them have changed since when."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archgrad.console import natural_order, printable
from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.rundir import CONFIG, FAILURE, METRICS, RESULT, TRAININGS, held
from archgrad.summary import STATES, Summary, found

INTERVAL = 1.0
"""Seconds between two looks at the disk, however many ask."""

WATCHED = (CONFIG, METRICS, RESULT, FAILURE, os.path.join(TRAININGS, "found", RESULT))
"""Files of a run by which it is seen that something has happened."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A run, the state of its files when it was read, and the version of the board since which it is so."""

    name: str
    stamp: Any
    run: Summary
    version: int


class Board:
    """All runs by name, which is their path below the directory; for several threads."""

    def __init__(self, directory: Path | str, trainings: bool = False):
        if not files.is_directory(directory):
            raise ArchgradError(f"{directory}: there is no such directory")
        self.directory, self.trainings = Path(directory), trainings
        self.version = 0
        self.boot = secrets.token_hex(4)
        """What tells the versions of this board from those of one before it."""
        self._entries: dict[str, Entry] = {}
        self._gone: dict[str, int] = {}
        self._looked = 0.0
        self._lock = threading.Lock()

    def refresh(self, at_once: bool = False) -> None:
        """Look at the disk, unless somebody just has."""
        with self._lock:
            if not at_once and time.monotonic() - self._looked < INTERVAL:
                return
            version, seen = self.version + 1, set()
            for directory in found(self.directory, self.trainings):
                name = self._name(directory)
                seen.add(name)
                stamp = _stamp(directory)
                known = self._entries.get(name)
                if known is None or known.stamp != stamp:
                    self._entries[name] = Entry(name, stamp, Summary.read(directory), version)
                    self._gone.pop(name, None)
                    self.version = version
            for name in [name for name in self._entries if name not in seen]:
                del self._entries[name]
                self._gone[name] = self.version = version
            self._looked = time.monotonic()

    def entries(self) -> list[Entry]:
        """All runs in the order of their names."""
        with self._lock:
            found_now = [entry for entry in self._entries.values() if entry.run.state]
        return sorted(found_now, key=lambda entry: natural_order(entry.name))

    def entry(self, name: str) -> Entry | None:
        """A run by its name; whatever is none of them has no path."""
        with self._lock:
            entry = self._entries.get(name)
        return entry if entry is not None and entry.run.state else None

    @property
    def mark(self) -> str:
        """The version, as a page remembers it."""
        return f"{self.boot}.{self.version}"

    def since(self, version: int) -> tuple[int, list[Entry], list[str]]:
        """The version now, the runs that are new or have changed since another one, and the names that are gone."""
        with self._lock:
            changed = [e for e in self._entries.values() if e.version > version and e.run.state]
            return self.version, changed, [name for name, when in self._gone.items() if when > version]

    def counts(self) -> str:
        """How many runs are in which state, in words."""
        states = Counter(entry.run.state for entry in self.entries())
        told = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
        return f"{states.total():,} run{'s' if states.total() != 1 else ''}{': ' if told else ''}{told}"

    def _name(self, directory: Path) -> str:
        if directory == self.directory:
            return printable(directory.resolve().name) or "run"
        return printable(directory.relative_to(self.directory).as_posix())


def _stamp(directory: Path) -> tuple[Any, ...]:
    return (held(directory), *(_state_of(os.path.join(directory, name)) for name in WATCHED))


def _state_of(path: str) -> tuple[int, ...] | None:
    try:
        found_now = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found_now.st_ino, found_now.st_size, found_now.st_mtime_ns
