"""Tables on the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Iterable[int] = (0,)) -> None:
    """Print columns under their names, aligned right but for those ``left``; no line is broken, which programs like.

    Not by rich's table, which takes a second for a thousand rows. A control character, which a terminal would obey,
    becomes the replacement character.
    """
    lines = [[printable(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    lefts = set(left)
    console = Console(width=10_000)
    for number, line in enumerate(lines):
        cells = [_aligned(cell, width, i in lefts) for i, (cell, width) in enumerate(zip(line, widths, strict=True))]
        text = "  ".join(cells).rstrip()
        if number == 0:
            console.print(Text(text, style="bold"))
        else:
            print(text)


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey, and that every program can encode, whatever stood in a file."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """By which names are sorted as people do: 2 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _aligned(cell: str, width: int, left: bool) -> str:
    space = " " * (width - cell_len(cell))
    return cell + space if left else space + cell


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
