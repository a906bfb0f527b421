"""The kernels, compiled when they are first needed with the C++ compiler that is there, and kept."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

LOGGER = logging.getLogger(__name__)
SOURCES = Path(__file__).parent / "csrc"
COMPILERS = ("g++", "clang++", "c++")
FLAGS = (
    *("-std=c++17", "-O2", "-ftree-vectorize"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=fast"),
)
"""Not ``-ffast-math``: linked with it, GCC's library makes denormal numbers zero in the whole process. Not ``-O3``:
GCC 12 then keeps the weights of the inner loop of convolutions in memory.
"""


class UnavailableError(Exception):
    """Why there are no kernels, in one line."""


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
    """The kernels. ``ARCHGRAD_CXX`` or ``CXX`` names the compiler, ``ARCHGRAD_NATIVE_ARCH`` the processor."""
    found = ctypes.CDLL(str(_built()))
    found.archgrad_stride.argtypes = [ctypes.c_int64]
    found.archgrad_stride.restype = ctypes.c_int64
    for name in ("archgrad_large_pages", "archgrad_may_be_taken"):
        getattr(found, name).argtypes = [ctypes.c_void_p, ctypes.c_int64]
        getattr(found, name).restype = None
    for name in ("archgrad_forward", "archgrad_backward", "archgrad_sizes"):
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


def _built() -> Path:
    """The library's file, in the user's cache or, where that cannot be written, in a directory of this process."""
    compiler, flags = _compiler(), [*FLAGS, *_processor()]
    name = f"kernels-{_key(compiler, flags)}.so"
    for directory in _directories():
        path = directory / name
        if path.exists():
            return path
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory / "lock"):
                if not path.exists():
                    _compile(compiler, flags, path)
            return path
        except OSError:
            continue
    raise UnavailableError("the native executor found no directory for its kernels: set XDG_CACHE_HOME to one")


def _directories() -> Iterator[Path]:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    yield Path(base) / "archgrad"
    yield Path(tempfile.mkdtemp(prefix="archgrad-"))  # private: code is loaded from there


def _compiler() -> str:
    named = os.environ.get("ARCHGRAD_CXX") or os.environ.get("CXX")
    for name in [named] if named else COMPILERS:
        if found := shutil.which(name):
            return found
    what = f"{named!r}, which ARCHGRAD_CXX or CXX names," if named else "g++ or clang++"
    raise UnavailableError(f"the native executor needs a C++ compiler: {what} is not installed")


def _processor() -> list[str]:
    chosen = os.environ.get("ARCHGRAD_NATIVE_ARCH", "native")
    if platform.machine() in ("x86_64", "AMD64"):
        return [f"-march={chosen}", "-mprefer-vector-width=512"]
    return [f"-mcpu={chosen}"]


def _key(compiler: str, flags: Sequence[str]) -> str:
    """Changes with the sources, the compiler, the flags and the processor that ``native`` stands for."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.read_bytes())
    stat = Path(compiler).resolve().stat()
    digest.update(repr((compiler, stat.st_size, stat.st_mtime_ns, list(flags), platform.machine())).encode())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        digest.update("".join(sorted({line for line in lines if line.startswith(("model name", "flags"))})).encode())
    except OSError:
        digest.update(platform.processor().encode())
    return digest.hexdigest()[:16]


def _compile(compiler: str, flags: Sequence[str], path: Path) -> None:
    """Into a file of its own, which then takes the place: nobody loads half a library."""
    LOGGER.info("compiling its kernels with %s, once", compiler)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    command = [compiler, *flags, "-shared", "-fPIC", str(SOURCES / "cell.cpp"), "-o", str(unfinished)]
    try:
        result = subprocess.run([*command, "-fopenmp"], capture_output=True, text=True, check=False)
        if result.returncode:  # a compiler may lack OpenMP: one thread then
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            lines = [line for line in result.stderr.splitlines() if "error" in line] or ["no message"]
            raise UnavailableError(f"the native executor's kernels do not compile with {compiler}: {lines[0].strip()}")
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
