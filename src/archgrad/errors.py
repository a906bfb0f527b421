"""What archgrad says when something outside it is wrong: one line that names it, the place, and what would be right."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class ArchgradError(Exception):
    """A mistake in the input or the environment, never a bug: one line for the user, no traceback needed."""


class ArchgradWarning(UserWarning):
    """Something was wrong, was handled, and the user should know."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ArchgradError:
    """The error for a name that is not in a table, with the closest names that are.

    >>> str(unknown("space", "dart", ["darts", "nasbench201"]))
    "unknown space 'dart': did you mean 'darts'? (known: darts, nasbench201)"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
    hint = f": did you mean {' or '.join(repr(c) for c in close)}?" if close else ":"
    listing = ", ".join(names)
    return ArchgradError(
        f"unknown {kind} {str(name)!r}{hint} " + (f"(known: {listing})" if close else f"known: {listing}")
    )


def require_positive(owner: str, **values: float) -> None:
    """Refuse numbers that are not finite and above zero, naming whose they are."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ArchgradError(f"{owner}: {name} must be a number above 0, got {value!r}")
