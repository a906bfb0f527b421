"""What archgrad says when something outside it is wrong: one line that names it, the place, and what would be right."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Iterable
from numbers import Integral, Real

LONGEST = 1000
"""Characters of a message: a person reads no more, and a log holds no copy of what was given."""
ECHO = 80
"""Characters that a message repeats of one value."""
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+\b")


class ArchgradError(Exception):
    """A mistake in the input or the environment, never a bug: one line for the user, no traceback needed.

    Whatever the line was made of, it is one line of `LONGEST` characters or fewer, without addresses in memory and
    without characters that a terminal would obey.
    """

    def __init__(self, message: str) -> None:
        super().__init__(_one_line(message))


class ArchgradWarning(UserWarning):
    """Something was wrong, was handled, and the user should know."""


def unknown(kind: str, name: object, known: Iterable[str]) -> ArchgradError:
    """The error for a name that is not in a table, with the closest names that are.

    >>> str(unknown("space", "dart", ["darts", "nasbench201"]))
    "unknown space 'dart': did you mean 'darts'? (known: darts, nasbench201)"
    """
    names, wrong = sorted(known), shortened(str(name))
    close = difflib.get_close_matches(wrong, names, n=3, cutoff=0.5)
    hint = f": did you mean {' or '.join(repr(c) for c in close)}?" if close else ":"
    listing = ", ".join(names)
    return ArchgradError(f"unknown {kind} {wrong!r}{hint} " + (f"(known: {listing})" if close else f"known: {listing}"))


def shortened(text: str, most: int = ECHO) -> str:
    """A text of at most so many characters: of a longer one the beginning and the end.

    >>> shortened("nor_conv_3x3" * 1000, 20)
    'nor_conv_3x3 … v_3x3'
    """
    end = (most - 3) // 3
    return text if len(text) <= most else f"{text[: most - 3 - end]} … {text[len(text) - end :]}"


class _Echo(reprlib.Repr):
    """What Python prints, but never more than a line of it, however large the value is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = ECHO

    def repr_instance(self, x: object, level: int) -> str:
        shape = getattr(x, "shape", None)
        if shape is not None:
            return f"{type(x).__name__} of shape {list(shape)}"
        try:
            return shortened(ADDRESS.sub("", repr(x)))
        except Exception:  # of somebody's own class
            return f"<{type(x).__name__}>"


def shown(value: object) -> str:
    """A value as a message repeats it: as Python prints it, in `ECHO` characters or fewer; of a tensor its shape.

    >>> shown("a" * 10**6)[:12], len(shown("a" * 10**6)) <= ECHO
    ("'aaaaaaaaaaa", True)
    >>> shown([10**4] * 10**6)
    '[10000, 10000, 10000, 10000, 10000, 10000, ...]'
    """
    return shortened(_ECHO.repr(value))


_ECHO = _Echo()


def _one_line(message: str) -> str:
    """Without line breaks, addresses and control characters, and no longer than a person reads."""
    message = re.sub(r"\s*[\r\n]+\s*", " ", shortened(message, 10 * LONGEST))
    message = ADDRESS.sub("", message)
    message = re.sub(rf"\S{{{LONGEST // 3},}}", lambda word: shortened(word[0]), message)
    return shortened("".join(c if c.isprintable() else repr(c)[1:-1] for c in message), LONGEST)


FULL = re.compile(
    r"out of memory|not enough memory|t allocate memory|bad_alloc|size calculation overflowed|Overflow when"
    r"|could not create a primitive(?! descriptor)"  # oneDNN; what it cannot compute has no descriptor
    r"|failed to map segment"  # the loader of libraries
)
"""What says that memory is full, where the kind of an error does not."""
ASKED = re.compile(r"(?:tried|trying|unable) to allocate ([\d.]+ ?\w+)", re.IGNORECASE)


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that there is no room for a tensor, on whichever device."""
    return isinstance(error, MemoryError) or FULL.search(str(error)) is not None


def no_room(error: BaseException) -> str:
    """What is said of `out_of_memory`, in words: how much was asked for, where that is known."""
    asked = ASKED.search(str(error))
    return f"out of memory (asked for {asked[1]})" if asked else "out of memory"


def reason(error: Exception) -> str:
    """The first line of what a library says, to be part of a message.

    Raises the error itself where it says that memory is full, which is no fault of what was tried.
    """
    if out_of_memory(error):
        raise error
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def is_number(value: object) -> bool:
    """Whether it is a number that one can calculate with; true, false and 10**400 are not."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return not isinstance(value, Integral) or abs(int(value)) < 2**1023


def require_number(owner: str, **values: object) -> None:
    """Refuse what is not a number; ``owner``: what the message starts with."""
    for name, value in values.items():
        if not is_number(value):
            raise ArchgradError(f"{owner}: {name} must be a number, got {shown(value)}{if_text(value)}")


def require_positive(owner: str, **values: float) -> None:
    """Refuse what is not a finite number above zero."""
    require_number(owner, **values)
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ArchgradError(f"{owner}: {name} must be a number above 0, got {shown(value)}")


def require_not_negative(owner: str, **values: float) -> None:
    """Refuse what is not a number of at least zero."""
    require_number(owner, **values)
    for name, value in values.items():
        if not value >= 0:
            raise ArchgradError(f"{owner}: {name} must not be negative, got {shown(value)}")


def require_whole(owner: str, least: int, most: int | None = None, /, **values: object) -> None:
    """Refuse what is not a whole number of at least ``least``, and at most ``most`` where that is given."""
    for name, value in values.items():
        whole = None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
        if whole is None or whole < least or (most is not None and whole > most):
            wanted = f"{least} or more" if most is None else f"from {least} to {most:,}"
            raise ArchgradError(f"{owner}: {name} must be a whole number, {wanted}, got {shown(value)}{if_text(value)}")


def if_text(value: object) -> str:
    """Why a number that stands in a file may have arrived as text."""
    try:
        float(value if isinstance(value, str) else "")
    except ValueError:
        return ""
    return ", which is text: leave out quotes, and write 1e-3 as 1.0e-3, since YAML reads 1e-3 as text"
