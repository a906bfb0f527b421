"""Where units are computed: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import importlib
from typing import Any

from archgrad.bench.executors.executor import Executor, Outcome, Task
from archgrad.errors import ArchgradError, unknown

EXECUTORS = {"local": "archgrad.bench.executors.local:Local", "ray": "archgrad.bench.executors.ray:Ray"}


def get(name: str, **options: Any) -> Executor:
    """The executor of that name, started; ``options`` as its class takes them."""
    if name not in EXECUTORS:
        raise unknown("executor", name, EXECUTORS)
    module, _, kind = EXECUTORS[name].partition(":")
    given = {key: value for key, value in options.items() if value is not None}
    try:
        made: Executor = getattr(importlib.import_module(module), kind)(**given)
    except TypeError as error:
        raise ArchgradError(f"executor {name!r}: {error}") from None
    return made


__all__ = ["EXECUTORS", "Executor", "Outcome", "Task", "get"]
