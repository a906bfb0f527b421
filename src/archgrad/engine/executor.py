"""The ways to compute a cell, and which one runs where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import forward_ad

from archgrad.engine.auto import FEW, fastest
from archgrad.engine.batched import batched
from archgrad.engine.checkpoint import recomputed
from archgrad.engine.graph import Graph
from archgrad.engine.loop import loop
from archgrad.engine.native import known_of, native, recomputes
from archgrad.engine.plain import plain
from archgrad.engine.usage import usage
from archgrad.errors import unknown

Executor = Callable[[Graph, Sequence[Tensor]], dict[int, Tensor]]
"""(what is computed, input states) → every state."""

EXECUTORS: dict[str, Executor] = {"plain": plain, "loop": loop, "batched": batched, "native": native}
AUTO = "auto"

_forced: ContextVar[str | None] = ContextVar("archgrad_executor", default=None)


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Compute all cells with one executor for a while: exact second derivatives need ``plain``."""
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def is_forced() -> bool:
    """Whether this is inside a block of `forced`."""
    return _forced.get() is not None


def executor_for(name: str, x: Tensor) -> str:
    """The executor that is meant by a name, for maps like ``x`` and what is being done to them.

    It stays ``"auto"`` where the graph of the cell decides (see `compute`).
    """
    name = _forced.get() or name
    if name == AUTO:
        return _auto(x)
    if name not in EXECUTORS:
        raise unknown("executor", name, [AUTO, *EXECUTORS])
    return name


def _auto(x: Tensor) -> str:
    """``batched`` on a GPU; on a CPU, in full precision and reverse mode, what the graph says; else ``plain``."""
    transformed = forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active()
    several = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    if x.dim() != 4 or transformed or several:
        return "plain"
    if x.device.type == "cuda":
        return "batched"
    if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
        return "plain"
    return AUTO if x.dtype in (torch.float32, torch.float64) else "plain"


def compute(
    name: str,
    graph: Graph,
    inputs: Sequence[Tensor],
    settled: bool = False,
    checkpointed: nn.Module | None = None,
) -> dict[int, Tensor]:
    """Every state of the cell, by the executor that `executor_for` names.

    A ``settled`` cell has too few similar operations for the stacking of ``batched`` to pay. ``checkpointed``: the
    cell, if it is to keep little and to compute the rest again in backward. Native code keeps states and statistics,
    and computes again what operations return; for other executors torch keeps the inputs and computes all again.
    """
    known = None
    if name == AUTO:
        known = known_of(graph) if len(graph.flows) >= FEW else {}
        name = fastest(graph, inputs, known)
    if settled and name == "batched":
        name = "plain"
    if not torch.compiler.is_compiling():
        usage().executors.add(name)
    if name == "native":
        known = known_of(graph) if known is None else known
        again = checkpointed is not None and recomputes(graph, inputs, known)
        if again or checkpointed is None:
            return native(graph, inputs, known, again)
    executor = EXECUTORS[name]
    if checkpointed is None:
        return executor(graph, inputs)
    targets = sorted(graph.group.incoming)

    def computed(*inputs: Tensor) -> list[Tensor]:
        found = executor(graph, inputs)
        return [found[target] for target in targets]

    return dict(enumerate(inputs)) | dict(zip(targets, recomputed(checkpointed, computed, inputs), strict=True))
