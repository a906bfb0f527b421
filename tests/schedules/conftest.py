"""Searches that are cut short and go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from archgrad import Choice, Method, data, search, spaces
from archgrad.runs import Run
from archgrad.search import Search, SearchResult


def images(count: int = 48) -> data.Dataset:
    """Two classes of random images, apart by their mean."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    x = torch.randn(count, 1, 8, 8, generator=generator) + y.view(-1, 1, 1, 1)
    return data.from_tensors(x, y, x[:8], y[:8], name="images")


def small() -> nn.Module:
    """Two sites of one group, with batch statistics; four candidates with weights."""

    def block() -> Choice:
        norm = nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU())
        return Choice({"linear": nn.Linear(6, 6), "norm": norm, "skip": nn.Identity()}, group="body")

    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), block(), nn.BatchNorm1d(6), block(), nn.Linear(6, 2))


def untimed(value: Any) -> Any:
    """Plain data without how long things took, tensors as bits."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key != "seconds"}
    if isinstance(value, list | tuple):
        return [untimed(item) for item in value]
    return (str(value.dtype), value.shape, value.numpy().tobytes()) if isinstance(value, Tensor) else value


def written(directory: Path) -> dict[str, Any]:
    """All that a search leaves."""
    run = Run.open(directory)
    return untimed(
        {
            "history": run.history(),
            "alphas": {group: array.tobytes() for group, array in run.read_arrays("alphas.npz").items()},
            "genotype": run.read_json("genotype.json"),
            "result": run.read_json("result.json"),
            "checkpoint": run.load_checkpoint(),
        }
    )


Find = Callable[..., SearchResult]


@pytest.fixture
def find() -> Find:
    """A search of a space, or of a small network, three steps per epoch."""

    def run(method: Method, network: Any = None, **options: Any) -> SearchResult:
        network = small() if network is None else network
        network = spaces.get(network, channels=4, cells=1) if isinstance(network, str) else network
        return search(network, method, images(), **{"device": "cpu", "progress": False, **options})

    return run


@pytest.fixture
def resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, find: Find) -> Callable[..., SearchResult]:
    """Require that a search cut short before some steps, and continued, leaves what an undisturbed one does."""

    def run(method: Method, *cuts: tuple[int, int], **options: Any) -> SearchResult:
        whole = find(method, out=tmp_path / "whole", **options)
        original = Search.train_step
        for cut in cuts:

            def step(self: Search, batch: Any, cut: tuple[int, int] = cut) -> None:
                if (self.epoch, self.step) == cut:
                    raise KeyboardInterrupt
                original(self, batch)

            with monkeypatch.context() as patch:
                patch.setattr(Search, "train_step", step)
                with pytest.raises(KeyboardInterrupt):
                    find(method, out=tmp_path / "cut", checkpoint_seconds=0.0, **options)
        find(method, out=tmp_path / "cut", **options)
        assert written(tmp_path / "cut") == written(tmp_path / "whole")
        return whole

    return run
