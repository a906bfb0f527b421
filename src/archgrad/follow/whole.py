"""A run read whole, where it may be somebody else's and is shown to others: no link in it is followed."""

from __future__ import annotations

import os
from pathlib import Path

from archgrad.console import printable
from archgrad.errors import ArchgradError
from archgrad.report import RunData


def whole(directory: Path) -> RunData:
    """All that a run holds; of one that holds links, or is none any more, nothing but that it does."""
    try:
        _require_no_links(directory)
        return RunData.read(directory)
    except (ArchgradError, OSError) as error:
        return RunData(directory, {}, [], {}, {"run": str(error)})


def _require_no_links(directory: Path) -> None:
    for here, below, names in os.walk(directory):
        for name in (*below, *names):
            path = os.path.join(here, name)
            if os.path.islink(path):
                raise ArchgradError(f"{printable(path)} is a link: what a run holds is shown only where it holds none")
