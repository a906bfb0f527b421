"""What archgrad says when something outside it is wrong: one line that names it, the place, and what would be right."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real


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


def is_number(value: object) -> bool:
    """Whether it is a number that one can calculate with; true, false and 10**400 are not."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return not isinstance(value, Integral) or abs(int(value)) < 2**1023


def require_number(owner: str, **values: object) -> None:
    """Refuse what is not a number; ``owner``: what the message starts with."""
    for name, value in values.items():
        if not is_number(value):
            raise ArchgradError(f"{owner}: {name} must be a number, got {value!r}{if_text(value)}")


def require_positive(owner: str, **values: float) -> None:
    """Refuse what is not a finite number above zero."""
    require_number(owner, **values)
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ArchgradError(f"{owner}: {name} must be a number above 0, got {value!r}")


def require_not_negative(owner: str, **values: float) -> None:
    """Refuse what is not a number of at least zero."""
    require_number(owner, **values)
    for name, value in values.items():
        if not value >= 0:
            raise ArchgradError(f"{owner}: {name} must not be negative, got {value!r}")


def require_whole(owner: str, least: int, **values: object) -> None:
    """Refuse what is not a whole number of at least ``least``."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ArchgradError(
                f"{owner}: {name} must be a whole number, {least} or more, got {value!r}{if_text(value)}"
            )


def if_text(value: object) -> str:
    """Why a number that stands in a file may have arrived as text."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        return ""
    return ", which is text: leave out quotes, and write 1e-3 as 1.0e-3, since YAML reads 1e-3 as text"
