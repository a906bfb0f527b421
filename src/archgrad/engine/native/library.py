"""The kernels as a library: one that came with the package, or one compiled when it is first needed, and kept."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch

from archgrad.engine.native import compiler
from archgrad.engine.native.compiler import UnavailableError

LOGGER = logging.getLogger(__name__)
PREBUILT = Path(__file__).parent / "prebuilt"
"""Where wheels that are made for a processor have their libraries."""
NEEDS = {"x86-64-v4": ("AVX512",), "x86-64-v3": ("AVX512", "AVX2")}
"""What torch finds in a processor that a library can run on."""


@cache
def available() -> str | None:
    """None where the kernels are there, compiled now if need be; otherwise the reason why not."""
    try:
        library()
    except UnavailableError as reason:
        return str(reason)
    return None


@cache
def library() -> ctypes.CDLL:
    """The kernels. ``ARCHGRAD_CXX`` or ``CXX`` names the compiler, ``ARCHGRAD_NATIVE_ARCH`` the processor.

    A library that came with the package is taken where there is one for this processor, and no compiler is named.
    """
    found = _came_with_the_package() or ctypes.CDLL(str(_built()))
    found.archgrad_stride.argtypes = [ctypes.c_int64]
    found.archgrad_stride.restype = ctypes.c_int64
    for name in ("archgrad_large_pages", "archgrad_may_be_taken"):
        getattr(found, name).argtypes = [ctypes.c_void_p, ctypes.c_int64]
        getattr(found, name).restype = None
    for name in ("archgrad_forward", "archgrad_forward_again", "archgrad_backward", "archgrad_sizes"):
        getattr(found, name).argtypes = [ctypes.c_void_p]
        getattr(found, name).restype = None
    return found


def build() -> str:
    """Tells builds of the kernels apart: of these sources, by this compiler with its flags, for this processor."""
    return Path(library()._name).stem.removeprefix("kernels-")


@cache
def stride_of(channels: int) -> int:
    """How far apart the pixels of a map of so many channels are in the kernels' memory."""
    return int(library().archgrad_stride(channels))


def _named_compiler() -> str | None:
    return os.environ.get("ARCHGRAD_CXX") or os.environ.get("CXX")


def _came_with_the_package() -> ctypes.CDLL | None:
    chosen = os.environ.get("ARCHGRAD_NATIVE_ARCH")
    if _named_compiler() or not PREBUILT.is_dir():
        return None
    targets = [target for target in compiler.TARGETS if _runs(target) and chosen in (None, target)]
    for target in targets:
        for path in sorted(PREBUILT.glob(f"{compiler.prebuilt(target)}-*.so")):
            with suppress(OSError):  # made for a newer system, say
                _open_mp()
                return ctypes.CDLL(str(path))
    return None


def _runs(target: str) -> bool:
    """Whether this processor is one of those that a target is for."""
    machines, _ = compiler.TARGETS[target]
    found = torch.backends.cpu.get_cpu_capability()
    return platform.machine() in machines and found in NEEDS.get(target, (found,))


def _open_mp() -> None:
    """Let libraries that name no OpenMP library find the one that torch computes with, threads and all."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        lines = []
    loaded = sorted({line.split(maxsplit=5)[-1] for line in lines if "libgomp" in line})
    ctypes.CDLL(loaded[0] if loaded else "libgomp.so.1", mode=ctypes.RTLD_GLOBAL)


def _built() -> Path:
    """The library's file, in the user's cache or, where that cannot be written, in a directory of this process."""
    command = compiler.find(_named_compiler())
    flags = compiler.flags_for(os.environ.get("ARCHGRAD_NATIVE_ARCH", "native"))
    name = f"kernels-{compiler.key(command, flags)}.so"
    for directory in _directories():
        path = directory / name
        if path.exists():
            return path
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory / "lock"):
                if not path.exists():
                    _compile(command, flags, path)
            return path
        except OSError:
            continue
    raise UnavailableError("the native executor found no directory for its kernels: set XDG_CACHE_HOME to one")


def _directories() -> Iterator[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    yield Path(base) / "archgrad"
    yield Path(tempfile.mkdtemp(prefix="archgrad-"))  # private: code is loaded from there


def _compile(command: str, flags: list[str], path: Path) -> None:
    """Into a file of its own, which then takes the place: nobody loads half a library."""
    LOGGER.info("compiling its kernels with %s, once", command)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        compiler.compile(command, flags, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time compiles; the others wait for what it makes."""
    try:
        import fcntl  # not on Windows, where two processes may compile the same
    except ImportError:
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
