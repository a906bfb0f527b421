"""A run directory: its settings, metrics, results and checkpoints, written so that a kill at any moment does no harm.

Every file appears whole or not at all. Checkpoints carry their own checksum, and the last two are kept, so that a
damaged one costs a little time and never the run.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import os
import re
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
import yaml

from archgrad.errors import ArchgradError, ArchgradWarning, is_number
from archgrad.foreign import files, plain
from archgrad.rundir import CHECKPOINTS as CHECKPOINTS
from archgrad.rundir import CONFIG as CONFIG
from archgrad.rundir import COPY, EXTENDED, FAILURE, INPUTS, clear, cut_short, digest, lock
from archgrad.rundir import LOCK as LOCK
from archgrad.rundir import METRICS as METRICS

ACCEPTED = "accepted"
"""In the record of inputs: the changes that were accepted so far."""

MAGIC = b"archgrad checkpoint 1\n"
KEPT = 2
PACKED = 100  # how many times their packed size arrays may have: ours are not packed at all

_DIGESTS = re.compile(r": blake2b:\w+ → blake2b:\w+$")


def default_directory(space: str, method: str, data: str, seed: int) -> Path:
    """Where a search writes that was not told where: ``runs/SPACE-METHOD-DATA-SEED``.

    >>> default_directory("mine:Net", "darts", "../images", 0).as_posix()
    'runs/mine_Net-darts-images-0'
    """
    names = (part.replace("/", "_").replace(":", "_").strip("._") for part in (space, method, data))
    return Path("runs") / f"{'-'.join(names)}-{seed}"


def atomic_write(path: Path | str, data: bytes) -> None:
    """Write a file whole or not at all: a reader, and a machine that stops at any moment, has the old file or the new.

    Raises ArchgradError where the disk or its permissions do not allow it; the old file is then untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with _writing(path):
        try:
            temporary.unlink(missing_ok=True)
            with open(temporary, "xb") as file:  # new, and so no link
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


class Run:
    """One run directory, used by search and training alike: `start` writes it under a lock, `open` only reads it."""

    def __init__(self, directory: Path, config: dict[str, Any], handle: BinaryIO | None) -> None:
        self.directory = directory
        self.config = config
        self.extension: dict[str, Change] = {}
        """What a longer run has that the one in the directory does not; `extended` puts it into the directory."""
        self._lock = handle

    @classmethod
    def start(
        cls,
        directory: Path | str,
        config: Mapping[str, Any],
        resume: bool = True,
        *,
        longer: Collection[str] = (),
        numbered: bool = False,
    ) -> Run:
        """Create the run, or open the existing one of the same settings to continue it; nothing is ever overwritten.

        `config` is plain data (numbers, text, lists, mappings; tuples and paths are stored as lists and text). The run
        is locked against other processes until `close`, or until this process ends, however it ends.

        `longer`: settings, as `recipe.epochs`, that may be larger than those of the run: see `extension`. `numbered`:
        where the directory holds another run, the one with the next number that does not is taken: `runs/x-2`.

        Raises ArchgradError if the directory holds a run of other settings (naming them), a run at all with
        `resume=False`, files that are no run, or if another process is writing it.
        """
        directory = Path(directory)
        if numbered:
            directory = _without_others(directory, _plain(config, "config"))
        if longer and not (directory / CONFIG).is_file():
            raise ArchgradError(f"{directory} holds no run that could be extended")
        with _writing(directory):
            _require_run_or_empty(directory)
            files.inside(directory, CHECKPOINTS)
            (directory / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
            handle = lock(directory)
        run = cls(directory, _plain(config, "config"), handle)
        try:
            run._begin(resume, longer)
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, directory: Path | str) -> Run:
        """Open an existing run for reading: no lock, so a run in progress can be looked at; writing is refused."""
        directory = Path(directory)
        try:
            config = plain.read(directory / CONFIG)
        except files.MissingError:
            raise ArchgradError(f"{directory} is not a run directory: it has no {CONFIG}") from None
        return cls(directory, config, None)

    def close(self) -> None:
        """Free the lock; the run can then only be read."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and self._lock is not None:
            reason = error if isinstance(error, ArchgradError) else f"{type(error).__name__}: {error}"
            with suppress(ArchgradError):  # the disk may be what has failed
                self.write_json(FAILURE, {"reason": str(ArchgradError(str(reason)))})
        self.close()

    def setting(self, name: str, kind: Any) -> Any:
        """A setting of that type; ArchgradError where the run's file lacks it, or says something else."""
        value = self.config.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            wanted = "text" if kind is str else getattr(kind, "__name__", str(kind))
            raise ArchgradError(f"{self.directory / CONFIG}: {name} must be {wanted}, got {value!r}")
        return value

    # Whole files

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a binary file of the run."""
        self._write(name, data)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run."""
        self._write(name, text.encode())

    def write_json(self, name: str, data: Any) -> None:
        """Write plain data as JSON; numbers that are not finite, which JSON does not have, become null."""
        self._write(name, (json.dumps(_finite(_plain(data, name)), indent=2) + "\n").encode())

    def write_yaml(self, name: str, data: Any) -> None:
        """Write plain data as YAML."""
        self._write(name, yaml.safe_dump(_plain(data, name), sort_keys=False).encode())

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Write named arrays as one `.npz` file."""
        buffer = io.BytesIO()
        np.savez(buffer, **dict(arrays))  # type: ignore[arg-type]  # numpy's stub takes the names for its own options
        self._write(name, buffer.getvalue())

    def has(self, name: str) -> bool:
        """Whether the run holds this file."""
        return (self.directory / name).is_file()

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run."""
        try:
            return plain.read_json(self.directory / name)
        except files.MissingError:
            raise self._not_yet(name) from None

    def read_arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Read an `.npz` file of the run; pickled objects are refused."""
        path = self.directory / name
        try:
            data = files.contents(path)
        except files.MissingError:
            raise self._not_yet(name) from None
        try:
            return _arrays(data)
        except Exception as error:  # a damaged zip file raises whatever its first wrong byte leads to
            raise ArchgradError(f"cannot read {path}: {_reason(error)}") from None

    def _not_yet(self, name: str) -> ArchgradError:
        return ArchgradError(f"{self.directory} has no {name}: the run has not come that far")

    # Metrics

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one record to the metrics, as one JSON line."""
        self._require_lock()
        path = self.directory / METRICS
        line = json.dumps(_finite(_plain(record, "record"))) + "\n"
        with _writing(path), files.appended(path) as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def history(self) -> list[dict[str, Any]]:
        """All records; a last line torn by a kill does not count, any other damage is an ArchgradError."""
        path = self.directory / METRICS
        try:
            records = plain.read_json_lines(path)
        except files.MissingError:
            return []
        for number, record in enumerate(records, start=1):
            if not is_number(record.get("epoch", 0)):
                raise ArchgradError(f"{path} line {number}: its epoch is {record['epoch']!r} and no number")
        return records

    def truncate_history(self, epoch: int) -> None:
        """Forget the records of this epoch and later ones: a resumed run will write them again."""
        self._rewrite_history([r for r in self.history() if r.get("epoch", -1) < epoch])

    # What it reads

    def bind(self, inputs: Mapping[str, Any], accept: bool = False) -> None:
        """Record what identifies the data and the network, or refuse to go on with other ones.

        With `accept` the run goes on, with an ArchgradWarning, and keeps a record of what changed.
        """
        inputs = _plain(inputs, INPUTS)
        if not self.has(INPUTS):
            self.write_json(INPUTS, inputs)
            return
        known = self.read_json(INPUTS)
        known = known if isinstance(known, dict) else {}
        accepted = known.pop(ACCEPTED, [])
        changes = [_DIGESTS.sub(" differ", line) for line in _listed(_differences(known, _finite(inputs)))]
        if not changes:
            return
        shown = "; ".join(changes[:5]) + ("; …" if len(changes) > 5 else "")
        if not accept:
            raise ArchgradError(
                f"{self.directory} was begun with other data or another network ({shown}): choose another directory, "
                "bring back the old ones, or go on with these on purpose: --changed accept"
            )
        self.write_json(INPUTS, {**inputs, ACCEPTED: [*accepted, changes]})
        warnings.warn(f"{self.directory} goes on with what changed: {shown}", ArchgradWarning, stacklevel=2)

    # Checkpoints

    def save_checkpoint(self, payload: Mapping[str, Any], position: int) -> None:
        """Save the state at a position of the run (a count that grows, e.g. steps done); keep it and the one before.

        `payload` holds tensors, numbers, text, None, lists, tuples and mappings: nothing that executes code when read.
        """
        buffer = io.BytesIO()
        torch.save(_safe(dict(payload), "checkpoint"), buffer)
        body = buffer.getvalue()
        digest = hashlib.sha256(body).hexdigest().encode()
        self._write(f"{CHECKPOINTS}/{position:012d}.ckpt", MAGIC + digest + b"\n" + body)
        # Later positions can only be damaged ones that this run was resumed from before: they must not count as kept.
        earlier = [path for path in self._checkpoints() if int(path.stem) < position]
        keep = {f"{position:012d}", *(path.stem for path in earlier[: KEPT - 1])}
        for path in self._checkpoints():
            if path.stem not in keep:
                with suppress(OSError):  # a directory of that name
                    path.unlink(missing_ok=True)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The newest undamaged state, tensors on the CPU; None where nothing has been saved yet.

        A damaged checkpoint is passed over with an ArchgradWarning; if all are damaged, an ArchgradError says so.
        """
        damaged: list[str] = []
        for path in self._checkpoints():
            try:
                payload = _read_checkpoint(path)
            except _DamagedError as error:
                damaged.append(f"{path.name} ({error})")
                continue
            if damaged:
                warnings.warn(
                    f"{path.parent}: damaged checkpoint {', '.join(damaged)}; using {path.name} instead",
                    ArchgradWarning,
                    stacklevel=2,
                )
            return payload
        if damaged:
            raise ArchgradError(
                f"{self.directory / CHECKPOINTS}: all checkpoints are damaged: {', '.join(damaged)}; "
                "delete them to start this run from its beginning"
            )
        return None

    def _checkpoints(self) -> list[Path]:
        """Checkpoint files, newest first."""
        found = (self.directory / CHECKPOINTS).glob("*.ckpt")
        return sorted((path for path in found if path.stem.isdecimal()), key=lambda path: int(path.stem), reverse=True)

    def extended(self) -> None:
        """From now on the directory holds the longer run."""
        if self.extension:
            before = self.read_json(EXTENDED) if self.has(EXTENDED) else []
            self.write_json(EXTENDED, [*before, {name: [c.old, c.new] for name, c in self.extension.items()}])
            self._write_config()
            self.extension = {}

    def _begin(self, resume: bool, longer: Collection[str]) -> None:
        for folder in (self.directory, self.directory / CHECKPOINTS):
            clear(folder)
        if not os.path.lexists(self.directory / CONFIG):
            self._write_config()
            return
        if not resume:
            raise ArchgradError(f"{self.directory} already holds a run: choose another directory, or resume it")
        said = plain.read(self.directory / CONFIG)
        changes = _differences(said, self.config)
        self.extension = {name: changes.pop(name) for name in longer if name in changes}
        for name, change in self.extension.items():
            if not (is_number(change.old) and change.new > change.old):
                raise ArchgradError(f"{self.directory}: {name} cannot be extended from {change.old} to {change.new}")
        if changes:
            listed = _listed(changes)
            shown = "; ".join(listed[:5]) + ("; …" if len(listed) > 5 else "")
            raise ArchgradError(
                f"{self.directory} holds a run with other settings ({shown}): "
                "choose another directory, or give the old settings to resume it"
            )
        self._copy_config(files.contents(self.directory / CONFIG), said)
        with _writing(self.directory / FAILURE):
            (self.directory / FAILURE).unlink(missing_ok=True)
        self._rewrite_history(self.history())  # drops a torn last line, which the next record would otherwise join

    def _write_config(self) -> None:
        text = yaml.safe_dump(_plain(self.config, "config"), sort_keys=False).encode()
        self._write(CONFIG, text)
        self._copy_config(text, self.config)

    def _copy_config(self, text: bytes, config: Mapping[str, Any]) -> None:
        """Write the settings as JSON, too, unless that is done: a kill or a full disk may have come between the two."""
        try:
            if plain.json_object(files.contents(self.directory / COPY), COPY).get("of") == digest(text):
                return
        except (OSError, ArchgradError):
            pass
        self.write_json(COPY, {"of": digest(text), "config": dict(config)})

    def _rewrite_history(self, records: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        path = self.directory / METRICS
        if lines.encode() != (files.contents(path) if path.exists() else b""):
            self.write_text(METRICS, lines)

    def _write(self, name: str, data: bytes) -> None:
        self._require_lock()
        atomic_write(self.directory / name, data)

    def _require_lock(self) -> None:
        if self._lock is None:
            raise ArchgradError(f"{self.directory} is open for reading only: use Run.start to write it")


class _DamagedError(Exception):
    """What is wrong with a checkpoint file."""


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        data = files.contents(path)
    except ArchgradError as error:
        raise _DamagedError(str(error).partition(": ")[2]) from None
    start = len(MAGIC) + 65
    if not data.startswith(MAGIC):
        raise _DamagedError("not a checkpoint of this version" if data else "empty")
    if hashlib.sha256(data[start:]).hexdigest().encode() + b"\n" != data[len(MAGIC) : start]:
        raise _DamagedError("its checksum does not match")
    try:
        payload = torch.load(io.BytesIO(data[start:]), map_location="cpu", weights_only=True)
    except Exception:  # a checksum is no signature: the restricted reader refuses a file made to harm, in many ways
        raise _DamagedError("its content is not plain data") from None
    if not isinstance(payload, dict):
        raise _DamagedError("its content is not a mapping")
    return payload


def _arrays(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an `.npz` file, which may not be larger than what it is packed in, lest little fills the memory."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    if size > PACKED * len(data):
        raise ValueError(f"it unpacks to {size:,} bytes")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)


def _require_run_or_empty(directory: Path) -> None:
    if directory.exists() and not (directory / CONFIG).exists() and (others := _others(directory)):
        raise ArchgradError(
            f"{directory} holds other files ({others[0]}, …) and no run: choose a new or empty directory"
        )


def _others(directory: Path) -> list[str]:
    """Files that are not what a start which was killed at once leaves behind."""
    ours = {LOCK, CHECKPOINTS}
    return sorted(entry.name for entry in directory.iterdir() if entry.name not in ours and not cut_short(entry.name))


def _sync_directory(directory: Path) -> None:
    """Make a rename durable; some systems cannot open directories, and their renames need no help."""
    with suppress(PermissionError, IsADirectoryError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArchgradError(f"cannot write {path}: {_reason(error)}") from None
    except ValueError:  # a zero byte, or what the system's encoding does not have
        raise ArchgradError(f"cannot write {str(path)!r}: this cannot be the name of a file") from None


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else None
    return text or " ".join(str(error).split()) or type(error).__name__


def _without_others(directory: Path, config: dict[str, Any]) -> Path:
    """The directory, or the first one with a number behind it, that holds this run or nothing."""
    for number in itertools.count(1):
        candidate = directory if number == 1 else directory.with_name(f"{directory.name}-{number}")
        if (candidate / CONFIG).is_file():
            if not _differences(Run.open(candidate).config, config):
                return candidate
        elif not candidate.is_dir() or not _others(candidate):
            return candidate
    raise AssertionError("numbers do not end")


class Change(NamedTuple):
    """A setting as the directory has it, and as it is now."""

    old: Any
    new: Any


def _differences(old: Any, new: Any, name: str = "") -> dict[str, Change]:
    """Settings that differ, by their names, as `a.b`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        missing = "(not set)"
        prefix = f"{name}." if name else ""
        found: dict[str, Change] = {}
        for key in keys:
            found |= _differences(old.get(key, missing), new.get(key, missing), f"{prefix}{key}")
        return found
    same = old == new or repr(old) == repr(new)  # repr: a NaN is like itself
    return {} if same else {name: Change(old, new)}


def _listed(changes: Mapping[str, Change]) -> list[str]:
    """Changes for people, as `a.b: old → new`."""
    return [f"{name}: {change.old} → {change.new}" for name, change in changes.items()]


def _plain(value: Any, name: str) -> Any:
    """Data that YAML and JSON give back unchanged."""
    value = _python(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}[{index}]") for index, item in enumerate(value)]
    raise ArchgradError(f"{name} must be plain data (numbers, text, lists, mappings), got {type(value).__name__}")


def _python(value: Any) -> Any:
    """A number of NumPy as Python's own, which files can hold; all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _safe(value: Any, name: str) -> Any:
    """What the restricted reader gives back; refuses at saving what it would refuse when it is too late."""
    value = _python(value)
    if isinstance(value, Mapping):
        return {_safe(key, f"{name} key {key!r}"): _safe(item, f"{name}.{key}") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_safe(item, f"{name}[{index}]") for index, item in enumerate(value))
    if not (value is None or type(value) in (bool, int, float, str) or isinstance(value, torch.Tensor)):
        raise ArchgradError(
            f"{name} must be a tensor, number, text, None, list, tuple or mapping, got {type(value).__name__}"
        )
    return value
