"""Making the kernels with a C++ compiler: on the spot for this processor, or beforehand for a wheel.

It imports nothing but the standard library, so that a build of a wheel can use it without torch.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SOURCES = Path(__file__).parent / "csrc"
COMPILERS = ("g++", "clang++", "c++")
FLAGS = (
    *("-std=c++17", "-O2", "-ftree-vectorize"),
    *("-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-ffp-contract=fast"),
)
"""Not ``-ffast-math``: linked with it, GCC's library makes denormal numbers zero in the whole process. Not ``-O3``:
GCC 12 then keeps the weights of the inner loop of convolutions in memory.
"""
X86, ARM = ("x86_64", "AMD64"), ("aarch64", "arm64")
"""What `platform.machine` calls these processors."""
TARGETS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "x86-64-v4": (X86, ("-march=x86-64-v4", "-mprefer-vector-width=512")),
    "x86-64-v3": (X86, ("-march=x86-64-v3",)),
    "arm64": (ARM, ("-march=armv8-a",)),
}
"""What wheels are made for, the better one first: the machines, and the flags."""


class UnavailableError(Exception):
    """Why there are no kernels, in one line."""


def find(named: str | None) -> str:
    """The path of the compiler of that name, or else of one of the usual ones."""
    for name in [named] if named else COMPILERS:
        if found := shutil.which(name):
            return found
    what = f"{named!r}, which ARCHGRAD_CXX or CXX names," if named else "g++ or clang++"
    raise UnavailableError(f"the native executor needs a C++ compiler: {what} is not installed")


def flags_for(processor: str) -> list[str]:
    """All flags for a processor as compilers name it, ``native`` included, or for one of `TARGETS`."""
    if processor in TARGETS:
        return [*FLAGS, *TARGETS[processor][1]]
    if platform.machine() in X86:
        return [*FLAGS, f"-march={processor}", "-mprefer-vector-width=512"]
    return [*FLAGS, f"-mcpu={processor}"]


def digest(*parts: object) -> str:
    """Changes with the sources and with whatever else is given."""
    found = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        found.update(path.read_bytes())
    found.update(repr(parts).encode())
    return found.hexdigest()[:16]


def key(compiler: str, flags: Sequence[str]) -> str:
    """Changes with the sources, the compiler, the flags and the processor that ``native`` stands for."""
    stat = Path(compiler).resolve().stat()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = "".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
    except OSError:
        processor = platform.processor()
    return digest(compiler, stat.st_size, stat.st_mtime_ns, list(flags), platform.machine(), processor)


def prebuilt(target: str) -> str:
    """How the name of a library for a target begins, made of these sources with these flags by any compiler."""
    return f"kernels-{target}-{digest(flags_for(target))}"


def prebuild(compiler: str, target: str, directory: Path) -> Path:
    """Make the library of a target. It names no OpenMP library: it uses the one that torch has loaded by then.

    Errors: `UnavailableError`.
    """
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False).stdout
    made_by = hashlib.sha256(version.encode()).hexdigest()[:8]
    path, part = directory / f"{prebuilt(target)}-{made_by}.so", directory / f"{target}.o"
    _run(compiler, [*flags_for(target), "-fPIC", "-fopenmp", "-c", str(SOURCES / "cell.cpp"), "-o", str(part)])
    _run(compiler, ["-shared", "-s", str(part), "-o", str(path)])
    part.unlink()
    return path


def compile(compiler: str, flags: Sequence[str], path: Path) -> None:
    """Make the library for this machine. Errors: `UnavailableError`."""
    command = [*flags, "-shared", "-fPIC", str(SOURCES / "cell.cpp"), "-o", str(path)]
    try:
        _run(compiler, [*command, "-fopenmp"])
    except UnavailableError:  # a compiler may lack OpenMP: one thread then
        _run(compiler, command)


def _run(compiler: str, arguments: Sequence[str]) -> None:
    result = subprocess.run([compiler, *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error" in line] or ["no message"]
        raise UnavailableError(f"the native executor's kernels do not compile with {compiler}: {lines[0].strip()}")
