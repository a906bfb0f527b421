"""A run keeps to the executors that it began with, whatever compiler is there when it is resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from archgrad import data, search, spaces
from archgrad.engine import usage
from archgrad.engine.native import available
from archgrad.engine.usage import Usage
from archgrad.errors import ArchgradWarning
from archgrad.search import Search

there = pytest.mark.skipif(available() is not None, reason=str(available()))
MISSING = "the native executor needs a C++ compiler: none is installed"


class StopError(Exception):
    pass


def run(out: Path, stop: bool = False) -> list[float]:
    """Alphas of a short search; ``stop``: it is interrupted after its first epoch."""
    x = torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    images = data.from_tensors(x, torch.arange(16) % 2, x[:2], torch.tensor([0, 1]))
    space = spaces.get("nasbench201", channels=4, cells=1)
    with pytest.MonkeyPatch.context() as patch:
        if stop:
            end = Search._close_epoch

            def interrupted(self: Search) -> None:
                end(self)
                raise StopError

            patch.setattr(Search, "_close_epoch", interrupted)
        found = search(space, "darts", images, batch_size=8, epochs=2, out=out, diagnose=0, progress=False)
    return [float(value) for value in found.alphas["cell"].flatten()]


def without(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(usage, "available", lambda: MISSING)


@there
def test_a_run_without_a_compiler_stays_without_native_code(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        without(patch)
        with pytest.warns(ArchgradWarning, match="needs a C\\+\\+ compiler.*torch alone computes cells"):
            whole = run(tmp_path / "whole")
        with pytest.warns(ArchgradWarning), pytest.raises(StopError):
            run(tmp_path / "half", stop=True)
    shutil.copytree(tmp_path / "half", tmp_path / "resumed")
    assert run(tmp_path / "resumed") == whole
    assert "native" not in json.loads((tmp_path / "resumed" / "result.json").read_text())["executors"]


def test_nothing_is_asked_for_native_code_outside_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial of two inputs before a run once decided for the whole process."""
    of_the_process = Usage()
    monkeypatch.setattr(of_the_process, "_decide", lambda: pytest.fail("decided for the process"))
    with usage.recorded(of_the_process):
        run(tmp_path / "run")


@there
def test_a_run_with_native_code_says_where_it_must_go_on_without(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    assert "native" in json.loads((tmp_path / "whole" / "result.json").read_text())["executors"]
    with pytest.raises(StopError):
        run(tmp_path / "half", stop=True)
    shutil.copytree(tmp_path / "half", tmp_path / "moved")
    assert run(tmp_path / "half") == whole
    with pytest.MonkeyPatch.context() as patch:
        without(patch)
        with pytest.warns(ArchgradWarning, match="the run began with it, and goes on with other rounding"):
            assert run(tmp_path / "moved") == pytest.approx(whole, abs=1e-5)


@there
def test_another_build_is_told_and_runs_from_before_native_code_stay_without() -> None:
    mine = Usage()
    mine.restore({"executors": ["native"], "native": "0123"})
    with pytest.warns(ArchgradWarning, match="native code of another compiler"):
        assert mine.has_native()
    mine.restore(None)
    assert not mine.has_native()
    fresh, again = Usage(), Usage()
    assert fresh.has_native()
    again.restore(fresh.state())
    assert again.has_native()  # and says nothing
