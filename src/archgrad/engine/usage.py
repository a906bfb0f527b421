"""Which executors a run uses; ``auto`` decides about native code once, so that a resumed run computes the same bits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from archgrad.engine.native.library import available, build
from archgrad.errors import ArchgradWarning

WITHOUT = "none"
"""What stands in the place of a build where there is none."""


class Usage:
    """The executors that cells of a run were computed by, and the build of native code that ``auto`` takes.

    ``build`` is None until ``auto`` first wants native code. Without a compiler it is then "none" to the end of the
    run, also where one is installed before the run is resumed.
    """

    def __init__(self) -> None:
        self.executors: set[str] = set()
        self.build: str | None = None
        self._checked = False

    def has_native(self) -> bool:
        """Whether ``auto`` may take native code; compiles it if need be."""
        if not self._checked:
            self._checked = True
            self._decide()
        return self.build != WITHOUT

    def _decide(self) -> None:
        if self.build == WITHOUT:
            return
        before, reason = self.build, available()
        self.build = WITHOUT if reason else build()
        if reason and before is None:
            warnings.warn(f"{reason}; torch alone computes cells, more slowly", ArchgradWarning, stacklevel=2)
        elif reason:
            warnings.warn(
                f"{reason}; the run began with it, and goes on with other rounding", ArchgradWarning, stacklevel=2
            )
        elif before not in (None, self.build):
            warnings.warn(
                "the run began with native code of another compiler, processor or version of archgrad, "
                "and goes on with other rounding",
                ArchgradWarning,
                stacklevel=2,
            )

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs."""
        return {"executors": sorted(self.executors), "native": self.build}

    def restore(self, state: Mapping[str, Any] | None) -> None:
        """Go on from a state; None for that of a run from before there was native code."""
        state = state or {"executors": [], "native": WITHOUT}
        self.executors, self.build, self._checked = set(state["executors"]), state["native"], False


_usage: ContextVar[Usage] = ContextVar("archgrad_usage", default=Usage())  # noqa: B039 - that of the process


def usage() -> Usage:
    """That of the run in progress, or else of the process."""
    return _usage.get()


@contextmanager
def recorded(mine: Usage) -> Iterator[None]:
    """Note there what cells are computed by for a while."""
    token = _usage.set(mine)
    try:
        yield
    finally:
        _usage.reset(token)
