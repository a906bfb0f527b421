"""Statistics of a campaign: ranks, tests, effect sizes, agreement of rankings, variance components, power.

They are imported when one of them is used: planning and running a campaign needs a table of results only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archgrad.bench.statistics.public import *  # noqa: F403


def __getattr__(name: str) -> Any:
    public = import_module(f"{__name__}.public")
    if name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(public, name)
