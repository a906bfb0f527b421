"""Removing runs: nothing that is no run, nothing that is being written, and nothing that a link leads to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from archgrad.console import printable
from archgrad.errors import ArchgradError
from archgrad.foreign import files
from archgrad.rundir import (
    ALPHAS,
    CHECKPOINTS,
    CONFIG,
    COPY,
    EXTENDED,
    FAILURE,
    GENOTYPE,
    INPUTS,
    LOCK,
    METRICS,
    RESULT,
    TRAININGS,
    cut_short,
    is_run,
    lock,
)
from archgrad.summary import Summary, found

OWN = frozenset({ALPHAS, CONFIG, COPY, EXTENDED, FAILURE, GENOTYPE, INPUTS, LOCK, METRICS, RESULT})
OWN |= {"front.json", "report.html", "unit.json", "robustness.json", "weights.safetensors", "inherited.safetensors"}
"""Files that archgrad writes into a run."""

DIRECTORIES = frozenset({CHECKPOINTS, TRAININGS})


def remove(runs: Iterable[Path | str], *, confirm: Callable[[str], bool] | None) -> list[Path]:
    """Remove run directories, and return those that are gone.

    ``confirm``: is asked once, with what would be removed, and may refuse; None asks nobody. What a run holds beside
    the files of archgrad is named in the question, and goes only if somebody was asked. Raises ArchgradError, before
    anything is removed, for what is no run, is reached by a link, holds other runs, or is being written.
    """
    chosen = list(dict.fromkeys(Path(run) for run in runs))
    for directory in chosen:
        _require_run(directory)
    strange = [path for directory in chosen for path in _strange(directory)]
    if strange and confirm is None:
        raise ArchgradError(
            f"rm: {printable(str(strange[0]))} is none of archgrad's files, and goes with its run: move it away first, "
            "or leave out --yes to be asked"
        )
    with ExitStack() as locks:
        for directory in chosen:
            for inner in [directory, *(run for run in found(directory, trainings=True) if run != directory)]:
                locks.enter_context(lock(inner))
        if confirm is not None and not confirm(_question(chosen, strange)):
            return []
        for directory in chosen:
            _remove(directory)
    return chosen


def _require_run(directory: Path) -> None:
    """Refuse what is not clearly a run of its own."""
    shown = printable(str(directory))
    if directory.is_symlink():
        raise ArchgradError(f"rm: {shown} is a link: remove the link itself, or name what it leads to")
    if not files.is_directory(directory):
        raise ArchgradError(f"rm: {shown}: there is no such directory")
    if not is_run(os.listdir(directory)) or not (summary := Summary.read(directory)).state:
        raise ArchgradError(f"rm: {shown} is not a run directory")
    if summary.state == "running":
        raise ArchgradError(f"rm: {shown} is being written by another process: stop it first")
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False) and entry.name not in DIRECTORIES:
            raise ArchgradError(f"rm: {printable(entry.path)} is a directory that no run has: move it away first")


def _strange(directory: Path) -> Iterator[Path]:
    """Files beside those of archgrad; exports of its network are among them, since they may be the only copy."""
    for here, _, names in os.walk(directory):
        yield from (
            Path(here) / name for name in names if not (name in OWN or cut_short(name) or name.endswith(".ckpt"))
        )


def _question(chosen: list[Path], strange: list[Path]) -> str:
    names = ", ".join(printable(str(directory)) for directory in chosen[:5])
    names += f" and {len(chosen) - 5} more" if len(chosen) > 5 else ""
    size = sum(_size(directory) for directory in chosen)
    others = ", ".join(printable(str(path)) for path in strange[:5]) + (", …" if len(strange) > 5 else "")
    beside = (
        f", and with {'them' if len(chosen) > 1 else 'it'} {others}, which archgrad did not write" if strange else ""
    )
    return f"Remove {names} ({size / 1e6:,.1f} MB){beside}?"


def _size(directory: Path) -> int:
    """Bytes of the files in a directory, what links lead to left out."""
    return sum(os.lstat(os.path.join(here, name)).st_size for here, _, names in os.walk(directory) for name in names)


def _remove(directory: Path) -> None:
    """Everything in it; of a link the link itself. The settings go last, so that half a run still is one."""
    try:
        for entry in sorted(os.scandir(directory), key=lambda entry: entry.name in (CONFIG, LOCK)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(directory if directory.name else os.path.abspath(directory))  # "." cannot be removed by that name
    except OSError as error:
        raise ArchgradError(f"rm: {printable(str(error.filename))}: {error.strerror}") from None
