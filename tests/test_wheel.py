"""A wheel with compiled kernels, installed where there is no compiler."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from archgrad.engine.native import available, compiler

ROOT = Path(__file__).resolve().parents[1]
BUILD = sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"
PROGRAM = """
import torch
import archgrad
from archgrad.engine.native import available, library
assert available() is None, available()
found = []
for executor, dtype in (("native", torch.float32), ("plain", torch.float64)):
    torch.manual_seed(0)
    net = archgrad.spaces.get("nasbench201", channels=4, cells=1).supernet(executor=executor).to(dtype)
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
    mixture = net.uniform().with_weights({g: w.to(dtype) for g, w in net.uniform().items()})
    found.append(net(x, mixture).double())
assert torch.allclose(*found, rtol=1e-4, atol=1e-5)
print(archgrad.__file__, library.library()._name)
"""


def run(*command: str | Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    arguments, environment = [str(part) for part in command], {**os.environ, **environment}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def succeeds(*command: str | Path, **environment: str) -> str:
    code, said, errors = run(*command, **environment)
    assert code == 0, errors
    return said


@pytest.mark.slow
@pytest.mark.skipif(available() is not None, reason=str(available()))
@pytest.mark.skipif(platform.system() != "Linux", reason="wheels with kernels are for Linux")
def test_a_wheel_brings_its_kernels(tmp_path: Path) -> None:
    """Into an environment of its own; what it depends on is that of this one."""
    target = "x86-64-v3" if platform.machine() in compiler.X86 else "arm64"
    succeeds(*BUILD, tmp_path, ARCHGRAD_PREBUILT=target)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stem.endswith(f"py3-none-linux_{platform.machine()}")
    succeeds(sys.executable, "-m", "venv", tmp_path / "venv")
    python, nothing = tmp_path / "venv/bin/python", tmp_path / "nothing"
    succeeds(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, PYTHONPATH="")
    nothing.mkdir()
    dependencies = {"PYTHONPATH": sysconfig.get_path("purelib"), "PYTHONSAFEPATH": "1"}
    said = succeeds(python, "-c", PROGRAM, PATH=str(nothing), XDG_CACHE_HOME=str(nothing), **dependencies).split()
    assert all(Path(file).is_relative_to(tmp_path / "venv") for file in said)
    assert f"kernels-{target}-" in said[1]
    assert not list(nothing.iterdir())


@pytest.mark.slow
def test_a_wheel_holds_sources_alone_unless_it_is_asked_for_more(tmp_path: Path) -> None:
    succeeds(*BUILD, tmp_path, ARCHGRAD_PREBUILT="")
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stem.endswith("py3-none-any")
    code, _, errors = run(*BUILD, tmp_path, ARCHGRAD_PREBUILT="x86-64-v5")
    assert code
    assert "ARCHGRAD_PREBUILT: x86-64-v5: there are x86-64-v4, x86-64-v3, arm64" in errors
