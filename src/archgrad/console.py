"""What a command says on standard output: its result, for people or as one JSON document. All else is logged.

Commands say everything twice, in words (`say`, `show`, `print_table`) and as data (`give`); `as_json` decides which of
the two is printed. What is not the result (progress, warnings, mistakes) goes to the logger ``archgrad``, which
`logged` writes on standard error.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

LOGGER = logging.getLogger("archgrad")
_document: ContextVar[dict[str, Any] | None] = ContextVar("document", default=None)
"""What is given so far; None where people read."""


@contextmanager
def as_json(wanted: bool = True) -> Iterator[None]:
    """A context in which nothing is said, and at whose end what was given is printed as one JSON object.

    Where an error ends it nothing is printed. ``wanted=False``: a context in which people read.
    """
    token = _document.set({} if wanted else None)
    try:
        yield
        found = _document.get()
    finally:
        _document.reset(token)
    if found is not None:
        print(json.dumps(plain(found), indent=2, ensure_ascii=False), flush=True)


def reads_json() -> bool:
    """Whether a program reads the result."""
    return _document.get() is not None


def say(*lines: object) -> None:
    """Print lines for people."""
    if not reads_json():
        for line in lines:
            print(line, flush=True)


def give(**values: Any) -> None:
    """Add values to the JSON document: plain data, paths, NumPy's numbers and arrays, tensors, dataclasses."""
    found = _document.get()
    if found is not None:
        found.update(values)


def show(renderable: Any, width: int | None = None) -> None:
    """Print a table or another thing of rich for people; ``width``: characters of a line where there is no terminal."""
    from rich.console import Console

    if not reads_json():
        console = Console()
        (console if console.is_terminal or width is None else Console(width=width)).print(renderable)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Iterable[int] = (0,)) -> None:
    """Print columns under their names, aligned right but for those ``left``; no line is broken, which programs like.

    Not by rich's table, which takes a second for a thousand rows. A control character, which a terminal would obey,
    becomes the replacement character.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    if reads_json():
        return

    def aligned(cell: str, width: int, left: bool) -> str:
        space = " " * (width - cell_len(cell))
        return cell + space if left else space + cell

    lines = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    lefts = set(left)
    for number, line in enumerate(lines):
        cells = [aligned(cell, width, i in lefts) for i, (cell, width) in enumerate(zip(line, widths, strict=True))]
        text = "  ".join(cells).rstrip()
        if number == 0:
            Console(width=10_000).print(Text(text, style="bold"))
        else:
            print(text)


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey, and that every program can encode, whatever stood in a file."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """By which names are sorted as people do: 2 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float | None], width: int = 40) -> str:
    """A curve in a line of text: the last value of each of at most ``width`` equal parts; a gap where there is none.

    >>> sparkline([0.1, 0.2, None, 0.8])
    '▁▂ █'
    """
    count = min(width, len(values))
    chosen = [values[(i + 1) * len(values) // count - 1] for i in range(count)]
    known = [value for value in chosen if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if value is None else BLOCKS[round((value - low) * scale)] for value in chosen)


def plain(value: Any) -> Any:
    """A value as JSON has it; numbers that are not finite, which JSON does not have, become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy's numbers and arrays, tensors
        return plain(value.tolist())
    return str(value)


# The log


@contextmanager
def logged(level: int = logging.INFO) -> Iterator[logging.Handler]:
    """A context in which the log of archgrad is written on standard error, a line each, from this level on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("archgrad: %(message)s"))
    handler.addFilter(lambda record: not getattr(record, "on_bar", False))
    handler.setLevel(level)
    before = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        LOGGER.setLevel(before)
        LOGGER.removeHandler(handler)
