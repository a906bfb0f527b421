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
from archgrad.engine.native import native
from archgrad.engine.plain import plain
from archgrad.errors import unknown

Executor = Callable[[Graph, Sequence[Tensor]], dict[int, Tensor]]
"""(what is computed, input states) → every state."""

EXECUTORS: dict[str, Executor] = {"plain": plain, "loop": loop, "batched": batched, "native": native}

SMALL = 2**14
"""Values of a map up to which, on a CPU, calling operators takes longer than what they compute: few are then faster."""

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

    A ``settled`` cell has too few similar operations for the stacking of ``batched`` to pay.
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
    """``batched`` on a GPU; on a CPU ``loop``, or ``batched`` for small maps, in full precision and reverse mode."""
    transformed = forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    if x.dim() != 4 or transformed or several:
        return "plain"
    if x.device.type == "cuda":
        return "batched"
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return "plain"
    if x.dtype not in (torch.float32, torch.float64):
        return "plain"
    return "batched" if x.numel() <= SMALL else "loop"
