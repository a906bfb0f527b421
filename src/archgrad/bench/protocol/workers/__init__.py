"""Where units are computed: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import importlib
from typing import Any

from archgrad.bench.protocol.workers.workers import Job, Outcome, Workers
from archgrad.errors import ArchgradError, unknown

EXECUTORS = {"local": "archgrad.bench.protocol.workers.local:Local", "ray": "archgrad.bench.protocol.workers.ray:Ray"}


def get(name: str, **options: Any) -> Workers:
    """The executor of that name, started; ``options`` as its class takes them."""
    if name not in EXECUTORS:
        raise unknown("executor", name, EXECUTORS)
    module, _, kind = EXECUTORS[name].partition(":")
    given = {key: value for key, value in options.items() if value is not None}
    try:
        made: Workers = getattr(importlib.import_module(module), kind)(**given)
    except TypeError as error:
        raise ArchgradError(f"executor {name!r}: {error}") from None
    return made


__all__ = ["EXECUTORS", "Job", "Outcome", "Workers", "get"]
