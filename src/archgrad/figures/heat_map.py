"""Heat maps: a table whose values are colours as well."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import LETTER, own_size
from archgrad.figures.markup import Markup, element


@dataclass(frozen=True)
class Tile:
    """A tile of a heat map. ``shade``: −1 … 1, its sign chooses the colour; None is empty. ``second``: a small line."""

    text: str
    shade: float | None
    title: str
    second: str = ""
    strong: bool = False


def heat_map(
    told: str,
    rows: Sequence[str],
    columns: Sequence[str],
    tiles: Sequence[Sequence[Tile]],
    *,
    width: float,
    height: float = 24,
    titles: Sequence[str] | None = None,
) -> Markup:
    """Tiles in rows and columns; a column's name that is longer than a tile is wide is broken."""
    left = 12 + LETTER * max(map(len, rows), default=0)
    names = [_broken(name, width) for name in columns]
    top = 8 + 14 * max(map(len, names), default=1)
    parts: list[Markup] = []
    for j, lines in enumerate(names):
        x = left + (j + 0.5) * width
        label = [
            element("text", line, x=x, y=top - 6 - 14 * (len(lines) - 1 - i), class_="tick middle")
            for i, line in enumerate(lines)
        ]
        parts.append(element("g", element("title", (titles or columns)[j]), label))
    for i, (row, line) in enumerate(zip(rows, tiles, strict=True)):
        y = top + i * height
        parts.append(element("text", row, x=left - 8, y=y + height / 2 + 4, class_="end"))
        for j, tile in enumerate(line):
            parts.append(_tile(tile, left + j * width, y, width, height))
    wide, high = left + len(columns) * width + 4, top + len(rows) * height + 4
    return own_size(told, parts, wide, high)


def _tile(tile: Tile, x: float, y: float, width: float, height: float) -> Markup:
    if tile.shade is None or math.isnan(tile.shade):
        kind, mix = "heat empty", None
    else:
        kind = (
            "heat"
            + (" low" if tile.shade < 0 else "")
            + (" on" if abs(tile.shade) > 0.55 else "")
            + (" full" if abs(tile.shade) > 0.72 else "")
        )
        mix = f"--t:{100 * min(abs(tile.shade), 1):.0f}%"
    middle, centre = x + width / 2, y + height / 2
    text = [element("text", tile.text, x=middle, y=centre + (4 if not tile.second else -1), class_="middle")]
    if tile.second:
        text.append(element("text", tile.second, x=middle, y=centre + 12, class_="middle second"))
    box = element("rect", x=x + 1, y=y + 1, width=width - 2, height=height - 2, rx=3)
    return element("g", element("title", tile.title), box, text, class_=kind + " strong" * tile.strong, style=mix)


def _broken(name: str, width: float) -> list[str]:
    """A column's name in lines that fit, broken after its hyphens, or after its underscores if it has none."""
    mark = "-" if "-" in name else "_"
    if 0.92 * LETTER * len(name) <= width or mark not in name:
        return [name]
    return re.findall(f"[^{mark}]+{mark}?", name)
