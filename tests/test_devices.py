"""A step of a search waits for the device only where a sampled path has to be read, and copies through pinned memory.

Measured on torch's device "meta", which computes shapes alone: whatever reads a number from it fails there, as it would
wait on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from archgrad import Supernet, data, devices, methods
from archgrad.devices import fetched, placed
from archgrad.distributed import World
from archgrad.engine import Cell, Standard
from archgrad.genotype import Edge, Group
from archgrad.search import Search

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SAMPLED = ("gdas", "reinmax")
"""The methods whose mixtures must be read: once for every evaluation, which for these is twice a step."""


class Tiny(nn.Module):
    """A stem, two cells and a classifier."""

    def __init__(self, executor: str):
        super().__init__()
        edges = tuple(Edge(source, target, OPERATIONS) for target in (1, 2) for source in range(target))
        self.stem = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        group = Group("normal", edges)
        self.cells = nn.ModuleList(Cell(group, 1, [2], [1, 1, 1], 8, Standard(), executor) for _ in range(2))
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for cell in self.cells:
            (x,) = cell(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Watched(TorchDispatchMode):
    """Refuses every copy from the host that is not `placed`."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = True  # of what may copy
        self.reads: list[int] = []  # how many tensors were fetched, fetch by fetch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        made = [t for t in tree_leaves(result) if isinstance(t, Tensor)]
        from_host = any(t.device.type == "cpu" and t.dim() > 0 for t in tensors)
        if from_host and any(t.device.type == "meta" for t in (*tensors, *made)) and not self.inside:
            raise AssertionError(f"{func} copies from the host to the device while the program waits")
        return result


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Not yet watching; whoever fetches tensors is told that the second candidates won."""
    watched = Watched()

    def free(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
        before, watched.inside = watched.inside, True
        try:
            return placed(tensor, device, dtype)
        finally:
            watched.inside = before

    def told(tensors: Sequence[Tensor]) -> list[Tensor]:
        watched.reads.append(len(tensors))
        return [(torch.arange(t.shape[-1]) == 1).expand(t.shape) for t in tensors]

    def on_the_device(*_: Any, **options: Any) -> Tensor:
        if torch.device(options.get("device") or "cpu").type != "cpu" and not watched.inside:
            raise AssertionError("numbers of the program become a tensor of the device while the program waits")
        return original(*_, **options)

    library = torch.library.Library("aten", "IMPL", "Meta")
    library.impl("_standard_gamma_grad", lambda draw, output: torch.empty_like(output))  # torch has none of its own
    original = torch.tensor
    modules = [module for name, module in sys.modules.items() if name.startswith("archgrad.")]
    for module in modules:
        for name, substitute in (("placed", free), ("fetched", told)):
            if getattr(module, name, None) is getattr(devices, name) and module is not devices:
                monkeypatch.setattr(module, name, substitute)
    monkeypatch.setattr(torch, "tensor", on_the_device)
    with watched:
        yield watched
    library._destroy()


def few() -> data.Dataset:
    """Some images, with all that augmentation does to them."""
    digits = data.load("digits")
    augmentation = data.Augmentation(pad=1, flip=True, cutout=2)
    return replace(digits, train=digits.train.take(torch.arange(64)), augmentation=augmentation)


@pytest.mark.parametrize("executor", ["batched", pytest.param("plain", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", [name for name in methods.names() if methods.get(name).epochs])
def test_a_step_waits_for_the_device_only_where_a_path_is_sampled(method: str, executor: str, watch: Watched) -> None:
    if method == "drnas" and torch.torch_version.TorchVersion(torch.__version__) < (2, 10):
        pytest.skip("needs torch 2.10: before, the device meta drew no Dirichlet numbers")
    chosen = replace(methods.get(method), epochs=2, batch_size=8)
    search = Search(lambda *_: Supernet(Tiny(executor)), chosen, few(), World.start("meta"), 0, 0.5)
    search.epoch = 1  # past every warm-up, and past what is looked at once in a run
    search.start_epoch()
    batches = search.batches.epoch(1)
    watch.inside = False
    search.train_step(next(batches))
    assert watch.reads == ([1, 1] if method in SAMPLED else [])


def test_the_watch_sees_what_waits(watch: Watched) -> None:
    x = torch.empty(4, 4, device="meta")
    watch.inside = False
    for wait in (
        lambda: x.sum().item(),
        lambda: bool(x.any()),
        lambda: x[x > 0],
        lambda: x.tolist(),
        lambda: x.cpu(),
        lambda: torch.ones(4).to("meta"),
        lambda: torch.tensor([1.0, 2.0], device="meta"),
    ):
        with pytest.raises((AssertionError, RuntimeError, NotImplementedError)):
            wait()
    assert placed(torch.ones(4), "cpu").sum() == 4


def test_what_is_fetched_together_is_what_was_there() -> None:
    tensors = [torch.arange(6).view(2, 3), torch.tensor(7), torch.arange(4)]
    for mine, theirs in zip(fetched(tensors), tensors, strict=True):
        assert torch.equal(mine, theirs)
    assert fetched([]) == []


def test_placed_numbers_may_become_others() -> None:
    found = placed(torch.tensor([True, False]), "cpu", torch.float64)
    assert found.tolist() == [1.0, 0.0]
    assert found.dtype == torch.float64
