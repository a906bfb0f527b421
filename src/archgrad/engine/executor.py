"""The ways to compute a cell, and which one runs where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import forward_ad

from archgrad.engine.batched import batched
from archgrad.engine.graph import Graph
from archgrad.engine.loop import loop
from archgrad.engine.plain import plain
from archgrad.errors import unknown

Executor = Callable[[Graph, Sequence[Tensor]], dict[int, Tensor]]
"""(what is computed, input states) → every state."""

EXECUTORS: dict[str, Executor] = {"plain": plain, "loop": loop, "batched": batched}

_forced: ContextVar[str | None] = ContextVar("archgrad_executor", default=None)


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Compute all cells with one executor for a while: exact second derivatives need ``plain``."""
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def executor_for(name: str, x: Tensor, settled: bool = False) -> Executor:
    """The executor of that name; ``"auto"`` picks one by where ``x`` is and what is done to it.

    A ``settled`` cell has too few operations alike to be worth the stacking of ``batched``.
    """
    name = _forced.get() or name
    if name == "auto":
        name = _fastest(x)
    if settled and name == "batched":
        name = "plain"
    if name not in EXECUTORS:
        raise unknown("executor", name, ["auto", *EXECUTORS])
    return EXECUTORS[name]


def _fastest(x: Tensor) -> str:
    """``batched`` on a GPU; ``loop`` where its kernels can run: CPU, full precision, reverse mode."""
    transformed = forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    if x.dim() != 4 or transformed or several:
        return "plain"
    if x.device.type == "cuda":
        return "batched"
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return "plain"
    return "loop" if x.dtype in (torch.float32, torch.float64) else "plain"
