"""Figures as files of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archgrad.errors import ArchgradError
from archgrad.figures.axes import style
from archgrad.figures.markup import Markup, element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif'
GAP, MARGIN = 24.0, 12.0


def alone(drawings: Sequence[Markup]) -> str:
    """SVG drawings side by side as the text of one file, with their styles."""
    parts: list[Markup] = []
    width, height = -GAP, 0.0
    for drawing in drawings:
        found = re.search(r'<svg viewBox="0 0 (\d+) (\d+)"([^>]*)>(.*)</svg>', drawing, re.DOTALL)
        if found is None:
            raise ValueError("a figure without a drawing cannot be a file")
        parts.append(Markup(f'<g transform="translate({width + GAP:.0f} 0)"{found[3]}>{found[4]}</g>'))
        width, height = width + GAP + float(found[1]), max(height, float(found[2]))
    width, height = width + 2 * MARGIN, height + 2 * MARGIN
    own = f"svg {{ width: {width:.0f}px; height: {height:.0f}px; font-family: {FONT}; }}"
    whole = element(
        "svg",
        element("style", Markup(style() + own)),
        parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"-{MARGIN:.0f} -{MARGIN:.0f} {width:.0f} {height:.0f}",
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n{whole}\n'


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure of matplotlib in the format that the file's suffix names."""
    path = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    if path.suffix[1:] not in formats:
        raise ArchgradError(f"{path}: figures are written as {', '.join(sorted(formats))}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ArchgradError(f"{path}: cannot be written ({error.strerror})") from None
    return path
