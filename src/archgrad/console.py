"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Iterable[int] = (0,)) -> None:
    """Print columns under their names, aligned right but for those ``left``; no line is broken, which programs like."""
    table, lefts = Table(box=None, pad_edge=False, header_style="bold"), set(left)
    for number, name in enumerate(header):
        table.add_column(Text(name), justify="left" if number in lefts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=10_000).print(table)
