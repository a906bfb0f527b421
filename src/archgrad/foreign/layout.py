"""Files of the right kind that hold something else than archgrad writes into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archgrad.errors import ArchgradError

STUMBLES = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError)
"""What code raises that takes the layout of a file for granted."""


@contextmanager
def expected(where: str) -> Iterator[None]:
    """Make sense of a file in the body: what the body stumbles over becomes one line that names the file."""
    try:
        yield
    except STUMBLES as error:
        reason = " ".join(str(error).split())[:200]
        raise ArchgradError(
            f"{where} holds something else than archgrad writes there ({type(error).__name__}: {reason})"
        ) from None


def require(fits: bool, what: str) -> None:
    """Within `expected`: refuse what does not fit; ``what``: in words."""
    if not fits:
        raise ValueError(what)
