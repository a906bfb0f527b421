"""Bytes of a file, and paths made of names that stand in one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from archgrad.errors import ArchgradError

KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
"""What stands in the place of a regular file."""

TEXT = 1 << 30
"""Bytes of a text file; larger ones are refused, since what is made of them takes several times as much memory."""

_UNBLOCKED = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_UNFOLLOWED = getattr(os, "O_NOFOLLOW", 0)


class MissingError(ArchgradError):
    """There is no such file."""


def contents(path: Path | str, most: int | None = None) -> bytes:
    """All bytes of a regular file of at most ``most`` bytes; by default as many as the machine has memory.

    Pipes, devices, sockets and directories are refused at once, without waiting for what they would say. Raises
    `MissingError` where there is no file, and ArchgradError for all else.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > (most or _memory()):
            raise ArchgradError(f"cannot read {path}: it has {size:,} bytes, more than {most or _memory():,}")
        try:
            return file.read(size + 1)  # a file in /proc has no size, and one that grows is read again later
        except OSError as error:
            raise ArchgradError(f"cannot read {path}: {error.strerror}") from None


def text(path: Path | str, most: int = TEXT) -> str:
    """The text of a UTF-8 file; the mark that some editors put in front of it is left out."""
    try:
        return contents(path, most).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ArchgradError(f"cannot read {path}: it is no text") from None


def opened(path: Path | str, follow: bool = True) -> BinaryIO:
    """A regular file, open for reading; ``follow``: also that which a link leads to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _UNBLOCKED | (0 if follow else _UNFOLLOWED))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError(f"cannot read {path}: there is no such file") from None
    except OSError as error:
        reason = "it is a link" if not follow and error.errno == errno.ELOOP else error.strerror
        raise ArchgradError(f"cannot read {path}: {reason}") from None
    except ValueError:
        raise ArchgradError(f"cannot read {str(path)!r}: this cannot be the name of a file") from None
    _require_regular(descriptor, f"cannot read {path}")
    return open(descriptor, "rb")


def require_regular(path: Path | str) -> None:
    """Refuse what another library would wait for, or fail on in its own words, when it opens it."""
    opened(path).close()


def appended(path: Path | str) -> BinaryIO:
    """A regular file, open to be written at its end; never that which a link leads to. Raises OSError as `open`."""
    if os.path.islink(path):
        raise ArchgradError(f"cannot write {path}: it is a link; put a file in its place")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _UNBLOCKED | _UNFOLLOWED, 0o666)
    _require_regular(descriptor, f"cannot write {path}")
    return open(descriptor, "ab")


def _require_regular(descriptor: int, what: str) -> None:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise ArchgradError(f"{what}: it is {kind(mode)} and no regular file")


def kind(mode: int) -> str:
    """What a file is that is no regular one."""
    return KINDS.get(stat.S_IFMT(mode), "something else")


def is_directory(name: str | Path) -> bool:
    """Whether there is a directory of that name; whatever cannot be the name of a file is none."""
    return os.path.isdir(name)


def inside(directory: Path, name: str | Path, what: str = "") -> Path:
    """The path of a name within a directory, which neither the name nor a link on the way leads out of.

    ``what``: who says so, for the message. The directory itself may be a link, and what is last on the way need not be
    there yet. Raises ArchgradError for absolute names, ``..``, and links whose target lies elsewhere.
    """
    path = directory / name
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or "\0" in str(name):
        raise ArchgradError(f"{what or directory}: {str(name)!r} leads out of {directory}")
    here = os.path.realpath(directory)
    there = os.path.realpath(path)
    if os.path.commonpath([here, there]) != here:
        raise ArchgradError(
            f"{path} is a link to {there}: nothing outside {directory} is written; put a directory in its place"
        )
    return path


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 34
