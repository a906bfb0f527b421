"""Compiling and loading the kernels: caches, compilers, processors; what a process with them keeps of its own."""

from __future__ import annotations

import gc
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from archgrad import spaces
from archgrad.engine.loop import loop
from archgrad.engine.native import available, compiler, library
from archgrad.engine.native import executor as native_executor
from archgrad.errors import ArchgradWarning

there = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture
def _fresh() -> Iterator[None]:
    """As in a process that has not asked for the kernels yet, and back again."""
    caches = library.available, library.library, native_executor._there
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_without_a_compiler_one_line_says_so_and_the_loop_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHGRAD_CXX", "no-such-compiler")
    reason = available()
    assert reason is not None
    assert "'no-such-compiler'" in reason
    assert "\n" not in reason
    torch.manual_seed(0)
    net = spaces.get("nasbench201", channels=4, cells=1).supernet(executor="native")
    x, start = torch.randn(2, 3, 8, 8), net.state_dict()
    start = {name: value.clone() for name, value in start.items()}
    with pytest.warns(ArchgradWarning, match="needs a C\\+\\+ compiler.*'loop' computes instead"):
        out = net(x, net.uniform())
    net.load_state_dict(start)
    monkeypatch.setattr(native_executor, "native", loop)
    assert torch.equal(out, net(x, net.uniform()))  # and says it once


@pytest.mark.usefixtures("_fresh")
def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'cell.cpp:1: error: too old' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.delenv("ARCHGRAD_CXX", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    reason = available()
    assert reason is not None
    assert "error: too old" in reason


def test_a_library_is_made_once_and_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def compile(compiler: str, flags: list[str], path: Path) -> None:
        made.append(path)
        path.touch()

    monkeypatch.setattr(library, "_compile", compile)
    monkeypatch.setattr(compiler, "find", lambda named: sys.executable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first, second = library._built(), library._built()
    assert made == [first] == [second]
    assert first.is_relative_to(tmp_path)
    monkeypatch.setenv("ARCHGRAD_NATIVE_ARCH", "x86-64-v3")
    assert library._built() != first
    nowhere = tmp_path / "file"
    nowhere.touch()  # where no directory can be made, as in a home that is read-only
    monkeypatch.setenv("XDG_CACHE_HOME", str(nowhere))
    third = library._built()
    assert third == made[-1]
    assert not third.is_relative_to(tmp_path)
    assert third.parent.stat().st_mode & 0o077 == 0  # nobody else may put code there
    shutil.rmtree(third.parent)


COMPARED = """
import torch
from archgrad import spaces
from archgrad.engine.native import available
assert available() is None, available()
for name, size in (("darts", {"channels": 7, "cells": 3}), ("nasbench201", {"channels": 9, "cells": 1})):
    found = []
    for executor, dtype in (("native", torch.float32), ("plain", torch.float64)):
        torch.manual_seed(0)
        net = spaces.get(name, **size).supernet(executor=executor).to(dtype)
        mixture = net.uniform().with_weights({g: w.to(dtype) for g, w in net.uniform().items()}).leaf()
        x = torch.randn(4, 3, 16, 15, generator=torch.Generator().manual_seed(1)).to(dtype)
        loss = net(x, mixture).square().sum()
        found.append([loss, *torch.autograd.grad(loss, [*mixture.values(), *net.weights()])])
    scale = max(t.abs().max() for t in found[1])
    for a, b in zip(*found):
        assert (a.double() - b).abs().max() <= 1e-4 * b.abs().max() + 1e-6 * scale, (a.shape, (a - b).abs().max())
print("equal")
"""


def run(program: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@there
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names x86 processors")
@pytest.mark.parametrize("processor", ["x86-64-v3", pytest.param("x86-64", marks=pytest.mark.slow)])
def test_narrower_vectors_compute_the_same(processor: str) -> None:
    """AVX2 has 8 floats and 16 registers, the oldest processors 4."""
    assert "equal" in run(COMPARED, ARCHGRAD_NATIVE_ARCH=processor)


@pytest.fixture
def prebuilt(tmp_path: Path) -> Path:
    """What stands for a library that came with the package."""
    target = "x86-64-v3" if platform.machine() in compiler.X86 else "arm64"
    (tmp_path / "prebuilt").mkdir()
    return Path(shutil.copy(library.library()._name, tmp_path / f"prebuilt/{compiler.prebuilt(target)}-copy.so"))


FROM_WHEEL = """
from pathlib import Path
from archgrad.engine.native import library
library.PREBUILT = Path({directory!r})
"""


@there
def test_a_library_that_came_along_is_taken(prebuilt: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    program = FROM_WHEEL.format(directory=str(prebuilt.parent)) + "print(library.build())"
    said = run(program, PATH=str(tmp_path / "nothing"), XDG_CACHE_HOME=str(tmp_path / "nothing"))
    assert said.strip() == prebuilt.stem.removeprefix("kernels-")
    assert not list((tmp_path / "nothing").iterdir())  # and nothing is compiled


@there
@pytest.mark.slow
def test_a_library_for_wheels_computes_the_same_in_the_threads_of_torch(tmp_path: Path) -> None:
    """It names no OpenMP library: that of torch is the only one in the process."""
    target = "x86-64-v3" if platform.machine() in compiler.X86 else "arm64"
    path = compiler.prebuild(compiler.find(None), target, tmp_path)
    program = FROM_WHEEL.format(directory=str(tmp_path)) + COMPARED
    program += "lines = open('/proc/self/maps').read().splitlines()\n"
    program += "print(library.build(), len({line.split()[-1] for line in lines if 'libgomp' in line}))"
    assert run(program).split() == ["equal", path.stem.removeprefix("kernels-"), "1"]


@there
@pytest.mark.parametrize("changed", ["processor", "sources", "flags", "compiler"])
def test_a_library_is_taken_only_where_it_fits(prebuilt: Path, tmp_path: Path, changed: str) -> None:
    """Not on another processor, not where sources or flags have changed since, nor where a compiler is named."""
    program = FROM_WHEEL.format(directory=str(prebuilt.parent))
    environment = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    if changed == "processor":
        program += "import platform; platform.machine = lambda: 'riscv64'\n"
    elif changed == "sources":
        shutil.copytree(compiler.SOURCES, tmp_path / "csrc")
        (tmp_path / "csrc" / "tables.h").write_text("// other tables")
        program += f"library.compiler.SOURCES = Path({str(tmp_path / 'csrc')!r})\n"
    elif changed == "flags":
        program += "library.compiler.FLAGS = (*library.compiler.FLAGS, '-O3')\n"
    else:
        environment["ARCHGRAD_CXX"] = "no-such-compiler"
    assert "needs a C++ compiler" in run(program + "print(library.available())", **environment)


@there
def test_loading_leaves_denormal_numbers_alone() -> None:
    program = "import torch; from archgrad.engine.native import library; library.library(); "
    assert run(program + "print((torch.full((9,), 1e-39) / 2).sum().item() > 0)").strip() == "True"


@there
def test_steps_leave_nothing_behind() -> None:
    """No cycles: without the garbage collector the memory of a process stays what it is."""
    torch.manual_seed(0)
    net = spaces.get("darts", channels=8, cells=3).supernet(executor="native")
    x, y = torch.randn(8, 3, 16, 16), torch.arange(8)

    def step() -> None:
        mixture = net.uniform().leaf()
        loss = F.cross_entropy(net(x, mixture), y)
        torch.autograd.grad(loss, [*mixture.values(), *net.weights()], allow_unused=True)
        F.cross_entropy(net(x, mixture), y)  # and nobody asks for a gradient

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").exists():
        pytest.skip("needs Linux's /proc")
    for _ in range(3):
        step()
    gc.collect()
    gc.disable()
    try:
        before = resident()
        for _ in range(20):
            step()
        grown = resident() - before
    finally:
        gc.enable()
    assert grown < 8e6  # one step alone keeps 14 MB
