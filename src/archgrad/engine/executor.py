"""The ways to compute a cell, and which one runs where."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from torch import Tensor

from archgrad.choice import Row
from archgrad.engine.plain import plain
from archgrad.errors import unknown

if TYPE_CHECKING:
    from archgrad.engine.cell import Cell

Executor = Callable[["Cell", Sequence[Tensor], Row], dict[int, Tensor]]
"""(cell, input states, the site's part of the mixture) → every state that was computed."""

EXECUTORS: dict[str, Executor] = {"plain": plain}

_forced: ContextVar[str | None] = ContextVar("archgrad_executor", default=None)


@contextmanager
def forced(name: str) -> Iterator[None]:
    """Compute all cells with one executor for a while: exact second derivatives need ``plain``."""
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


def executor_for(name: str, x: Tensor) -> Executor:
    """The executor of that name; ``"auto"`` picks one by the device of ``x``."""
    name = _forced.get() or name
    if name == "auto":
        name = "plain"
    if name not in EXECUTORS:
        raise unknown("executor", name, ["auto", *EXECUTORS])
    return EXECUTORS[name]
