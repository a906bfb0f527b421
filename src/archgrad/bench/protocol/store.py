"""What a campaign has computed so far, and who computes what at this moment, for any number of drivers at once.

``records/``: one file of JSON lines per driver, to which it alone appends; one line per complete or failed unit.
``claims/``: one file per unit that was begun. The driver that computes the unit holds a lock on the file, which the
system frees when the driver's process ends, however it ends. Whoever gets the lock first looks whether the unit is
complete by now: so it does no harm to delete the file of a complete unit while another driver waits for its lock.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from archgrad.bench.protocol.unit import Record, is_record
from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.foreign.plain import require_shallow
from archgrad.runs import atomic_write

NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK)
"""What a file system without locks says."""


class Store:
    """The records of a campaign's directory."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.passed_over = 0
        """Lines that have been read and are no records."""
        self._read: dict[str, tuple[int, list[Record]]] = {}

    def records(self) -> dict[str, Record]:
        """Unit → its record: the one of a complete unit, otherwise the newest of those that failed (``problem``)."""
        found: dict[str, Record] = {}
        for path in sorted((self.directory / "records").glob("*.jsonl")):
            for record in self._lines(path):
                known = found.get(record["unit"])
                if known is None or ("problem" in known and not _older(record, known)):
                    found[record["unit"]] = record
        return found

    def _lines(self, path: Path) -> list[Record]:
        """The lines of a file; only what has been appended since the last time is read."""
        offset, known = self._read.get(path.name, (0, []))
        try:
            with files.opened(path) as file:
                file.seek(offset)
                text = file.read()
        except OSError as error:
            raise ArchgradError(f"cannot read {path}: {error.strerror}") from None
        end = text.rfind(b"\n") + 1  # what follows has been torn by a kill, or is being written
        lines = text[:end].splitlines()
        records = [record for record in _parsed(lines) if is_record(record)]
        self.passed_over += len(lines) - len(records)
        known += records
        self._read[path.name] = (offset + end, known)
        return known

    def add(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Write a file of records at once."""
        text = "".join(json.dumps(record) + "\n" for record in records)
        folder = files.inside(self.directory, "records")
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(folder / f"{name}.jsonl", text.encode())

    def running(self) -> set[str]:
        """The units that some driver is computing."""
        found = set()
        for path in files.inside(self.directory, "claims").glob("*~seed-*[0-9]"):
            if path.is_symlink() or not path.is_file():
                continue
            if (lock := _locked(path)) is None:
                found.add(path.name.replace("~", "/"))
            else:
                lock.release()
        return found


class Driver:
    """One process that computes units: its claims and its records. Use as a context."""

    def __init__(self, store: Store):
        self.directory = store.directory
        started = time.strftime("%Y%m%dT%H%M%S")
        self.name = f"{started}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._held: dict[str, BaseFileLock] = {}

    def __enter__(self) -> Driver:
        try:
            for name in ("records", "claims"):
                files.inside(self.directory, name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchgradError(f"cannot write {self.directory}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        for unit in tuple(self._held):
            self.release(unit)

    def claim(self, unit: str) -> bool:
        """Whether nobody computes a unit: from now on this driver does."""
        lock = _locked(self._path(unit)) if unit not in self._held else None
        if lock is not None:
            self._held[unit] = lock
        return lock is not None

    def release(self, unit: str, complete: bool = False) -> None:
        """Let others have a unit, or forget its claim where nobody needs it any more."""
        if complete:
            self._path(unit).unlink(missing_ok=True)
        if unit in self._held:
            self._held.pop(unit).release()

    def _path(self, unit: str) -> Path:
        return self.directory / "claims" / unit.replace("/", "~")

    def record(self, record: Mapping[str, Any]) -> None:
        """Append a record for good."""
        path = self.directory / "records" / f"{self.name}.jsonl"
        try:
            with files.appended(path) as file:
                file.write((json.dumps(record) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ArchgradError(f"cannot write {path}: {error.strerror}") from None


def _locked(path: Path) -> BaseFileLock | None:
    """A lock on a file, None where another one holds it.

    On a file system without locks a second file takes its place, which exists as long as the unit is claimed. That of a
    killed driver on another machine has to be deleted by hand.
    """
    if path.is_symlink():
        raise ArchgradError(f"cannot write {path}: it is a link; delete it")
    for lock in (FileLock(path), SoftFileLock(path.with_name(f"{path.name}.held"))):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise ArchgradError(f"cannot write {path}: {error.strerror}") from None
        else:
            return lock
    raise ArchgradError(f"cannot lock {path}")


def _parsed(lines: list[bytes]) -> list[Any]:
    """What JSON lines say. One torn by a full disk says nothing: its unit's own directory knows better."""
    try:
        found = list(json.loads(b"[" + b",".join(lines) + b"]"))  # all at once takes half of the time
        require_shallow(found, "records")
    except (ValueError, RecursionError, ArchgradError):
        return [] if len(lines) == 1 else [value for line in lines for value in _parsed([line])]
    return found


def _older(record: Record, than: Record) -> bool:
    return "problem" in record and (record.get("finished") or 0) < (than.get("finished") or 0)
