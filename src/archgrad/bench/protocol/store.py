"""What a campaign has computed so far, and who computes what at this moment, for any number of drivers at once.

``records/``: one file of JSON lines per driver, to which it alone appends; one line per complete or failed unit.
``claims/``: one file per unit that is being computed, which only one driver can create; it names that driver. So do
claims of trainings as such (`TWINS`), of which several units may wait for one.
``drivers/``: one file per driver, touched again and again; when it grows old its driver is dead, and so are its claims.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.runs import atomic_write

Record = dict[str, Any]
TWINS = "same"
"""The first part of a claim's name that is no unit."""
FIELDS = ("benchmark", "method", "seed", "setting", "genotype")
BEAT = 10.0  # seconds between two signs of life
STALE = 120.0  # seconds without a sign of life after which a driver on another machine counts as dead


class Store:
    """The records of a campaign's directory."""

    def __init__(self, directory: Path):
        self.directory = directory
        self._read: dict[str, tuple[int, list[Record]]] = {}

    def records(self) -> dict[str, Record]:
        """Unit → its record: the one of a complete unit, otherwise the newest of those that failed (``problem``)."""
        found: dict[str, Record] = {}
        for path in self._files():
            for record in self._lines(path):
                known = found.get(record["unit"])
                if known is None or ("problem" in known and not _older(record, known)):
                    found[record["unit"]] = record
        return found

    def _files(self) -> list[Path]:
        return sorted((self.directory / "records").glob("*.jsonl"))

    def _lines(self, path: Path) -> list[Record]:
        """The lines of a file; only what has been appended since the last time is read."""
        offset, known = self._read.get(path.name, (0, []))
        try:
            with open(path, "rb") as file:
                file.seek(offset)
                text = file.read()
        except OSError as error:
            raise ArchgradError(f"cannot read {path}: {error.strerror}") from None
        end = text.rfind(b"\n") + 1  # what follows has been torn by a kill, or is being written
        known += (record for record in _parsed(text[:end].splitlines()) if _is_whole(record))
        self._read[path.name] = (offset + end, known)
        return known

    def add(self, name: str, records: Iterable[Mapping[str, Any]]) -> None:
        """Write a file of records at once."""
        text = "".join(json.dumps(record) + "\n" for record in records)
        (self.directory / "records").mkdir(parents=True, exist_ok=True)
        atomic_write(self.directory / "records" / f"{name}.jsonl", text.encode())

    def claims(self) -> dict[str, str]:
        """Unit → the driver that is computing it; only drivers that are alive count."""
        alive = {path.stem for path in (self.directory / "drivers").glob("*.json") if _alive(path)}
        found = {}
        for path in (self.directory / "claims").glob("[!.]*"):
            with suppress(OSError):
                driver, name = path.read_text(), _unescaped(path.name)
                if driver in alive and not name.startswith(f"{TWINS}/"):
                    found[name] = driver
        return found


class Driver:
    """One process that computes units: its claims, its records and its signs of life. Use as a context."""

    def __init__(self, store: Store):
        self.directory = store.directory
        self.name = f"{time.strftime('%Y%m%dT%H%M%S')}-{socket.gethostname()}-{os.getpid()}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._held: set[str] = set()

    def __enter__(self) -> Driver:
        try:
            for name in ("records", "claims", "drivers"):
                (self.directory / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchgradError(f"cannot write {self.directory}: {error.strerror}") from None
        about = {"host": socket.gethostname(), "pid": os.getpid(), "started": _process_start(os.getpid())}
        for sign in self._sign.parent.glob("*.json"):
            if _host(sign) == socket.gethostname() and not _alive(sign):
                sign.unlink(missing_ok=True)  # of a driver that was killed
        atomic_write(self._sign, json.dumps(about).encode())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for unit in tuple(self._held):
            self.release(unit)
        self._sign.unlink(missing_ok=True)

    @property
    def _sign(self) -> Path:
        return self.directory / "drivers" / f"{self.name}.json"

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):
                os.utime(self._sign)

    def claim(self, unit: str) -> bool:
        """Whether this driver may compute a unit: nobody alive does. Claims of the dead are taken over."""
        path = self.directory / "claims" / _escaped(unit)
        if self._create(path):
            self._held.add(unit)
            return True
        try:
            owner = path.read_text()
        except FileNotFoundError:
            return self.claim(unit)  # released just now
        except OSError as error:
            raise ArchgradError(f"cannot read {path}: {error.strerror}") from None
        if owner and _alive(self.directory / "drivers" / f"{owner}.json"):
            return False
        aside = path.with_name(f".{path.name}.{self.name}")
        try:
            os.rename(path, aside)  # of several drivers that see a dead owner, one succeeds
        except FileNotFoundError:
            return False
        if aside.read_text() != owner:  # another driver was faster by a moment: its claim goes back
            with suppress(FileExistsError):
                os.link(aside, path)
            aside.unlink()
            return False
        aside.unlink()
        return self.claim(unit)

    def _create(self, path: Path) -> bool:
        """Create a claim with its content, or not at all."""
        draft = path.with_name(f".{self.name}.draft")
        try:
            draft.write_text(self.name)
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            raise ArchgradError(f"cannot write {path}: {error.strerror}") from None
        finally:
            draft.unlink(missing_ok=True)
        return True

    def release(self, unit: str) -> None:
        """Let others have a unit; one that this driver does not hold is left to whoever does."""
        if unit in self._held:
            self._held.discard(unit)
            (self.directory / "claims" / _escaped(unit)).unlink(missing_ok=True)

    def record(self, record: Mapping[str, Any]) -> None:
        """Append a record for good."""
        path = self.directory / "records" / f"{self.name}.jsonl"
        try:
            with open(path, "ab") as file:
                file.write((json.dumps(record) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ArchgradError(f"cannot write {path}: {error.strerror}") from None


def _parsed(lines: list[bytes]) -> list[Any]:
    """What JSON lines say. One torn by a full disk says nothing: its unit's own directory knows better."""
    try:
        return list(json.loads(b"[" + b",".join(lines) + b"]"))  # all at once takes half of the time
    except ValueError:
        if len(lines) == 1:
            return []
        return [value for line in lines for value in _parsed([line])]


def _is_whole(record: Any) -> bool:
    """Whether a line is a record: with less, the unit's own directory knows better."""
    if not isinstance(record, dict) or "unit" not in record:
        return False
    if "problem" in record:
        return True
    return all(name in record for name in FIELDS) and ("score" in record or not record["setting"])


def _older(record: Record, than: Record) -> bool:
    return "problem" in record and record.get("finished", 0) < than.get("finished", 0)


def _escaped(unit: str) -> str:
    return unit.replace("/", "~")


def _unescaped(name: str) -> str:
    return name.replace("~", "/")


def _host(sign: Path) -> str | None:
    try:
        host = json.loads(sign.read_bytes()).get("host")
    except (OSError, ValueError, AttributeError):
        return None
    return str(host)


def _alive(sign: Path) -> bool:
    """Whether a driver lives: on this machine its process does; on another its file has been touched lately."""
    try:
        about = json.loads(sign.read_bytes())
        touched = sign.stat().st_mtime
    except (OSError, ValueError):
        return False
    if about.get("host") == socket.gethostname():
        start = _process_start(about["pid"])
        return start is not None and start == about.get("started")
    return _now(sign.parent) - touched < STALE


def _now(directory: Path) -> float:
    """The time by the clock of the file system, which may be that of another machine."""
    probe = directory / f".{os.getpid()}.now"
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        probe.unlink(missing_ok=True)


def _process_start(pid: int) -> str | None:
    """When a process of this machine started, which tells it from a later one of the same number; None if it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    except OSError:
        return None
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "?"
    except OSError:
        return None
    return "?"
