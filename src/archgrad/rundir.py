"""What stands in a run directory under which name, and who is writing it: known without reading what it holds."""

from __future__ import annotations

import hashlib
import os
import sys
import time
import warnings
import weakref
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.foreign import files

if sys.platform != "win32":
    import fcntl

CONFIG = "config.yaml"
COPY = "config.json"
"""The settings once more, which are read twenty times as fast; they count as long as they are those of `CONFIG`."""

METRICS = "metrics.jsonl"
INPUTS = "inputs.json"
EXTENDED = "extended.json"
RESULT = "result.json"
GENOTYPE = "genotype.json"
ALPHAS = "alphas.npz"
FAILURE = "failure.json"
"""Why the run ended without a result, where that was a fault and no interruption; gone once it goes on."""

LOCK = ".lock"
CHECKPOINTS = "checkpoints"
TRAININGS = "train"
"""The directory of trainings in that of a search."""

PATIENCE = 0.2
"""Seconds that a lock is waited for: somebody may be looking whether it is held, which takes a moment."""


TRACES = frozenset({LOCK, CHECKPOINTS, METRICS, RESULT, INPUTS})
"""What stands beside the settings of a run; those of other programs are called the same."""


def is_run(names: Collection[str]) -> bool:
    """Whether a directory with these names in it is that of a run."""
    return CONFIG in names and not TRACES.isdisjoint(names)


def cut_short(name: str) -> bool:
    """Whether a file of this name is what a kill leaves of a write (`archgrad.runs.atomic_write`)."""
    return name.startswith(".") and name.endswith(".tmp")


def clear(directory: Path, age: float = 0) -> None:
    """Remove what kills left of writes, at least ``age`` seconds ago."""
    for path in directory.glob(".*.tmp"):
        with suppress(FileNotFoundError):  # another process clears as well
            if time.time() - path.stat().st_mtime >= age:
                path.unlink()


def digest(config: bytes) -> str:
    """What a copy of settings says of the file that it is a copy of."""
    return hashlib.sha256(config).hexdigest()


def lock(directory: Path) -> BinaryIO:
    """Hold the run's lock file; the system frees it when the process ends, however it ends.

    Not by filelock, as elsewhere: its locks make a forked worker of a data loader an owner, too, which outlives a run
    that is killed; and where a file system has no locks it raises, while a run goes on with a warning.
    """
    handle = files.appended(directory / LOCK)
    if sys.platform != "win32":
        try:
            _wait_for(handle)
        except BlockingIOError:
            handle.close()
            raise ArchgradError(f"{directory} is being written by another process: wait, or use another one") from None
        except OSError as error:
            warnings.warn(
                f"{directory}: this file system has no locks ({error.strerror}); do not start the same run twice",
                ArchgradWarning,
                stacklevel=4,
            )
        # A forked data-loader worker shares the lock and may outlive a killed run by seconds: it must not keep it.
        reference = weakref.ref(handle)
        os.register_at_fork(after_in_child=lambda: _close(reference))
    return handle


def held(directory: Path | str) -> bool | None:
    """Whether a process is writing the run; None where that cannot be told."""
    if sys.platform == "win32":
        return None
    try:
        with files.opened(os.path.join(directory, LOCK), follow=False) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except files.MissingError:
        return False
    except BlockingIOError:
        return True
    except (OSError, ArchgradError):
        return None
    return False


def _wait_for(handle: BinaryIO) -> None:
    """Take the lock; BlockingIOError where somebody holds it for longer than a look takes."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(PATIENCE / 20)


def _close(reference: weakref.ref[BinaryIO]) -> None:
    handle = reference()
    if handle is not None:
        handle.close()
