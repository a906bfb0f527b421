"""HTML and SVG elements; text is escaped unless it is markup already, so that no name from a run can become code."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any


class Markup(str):
    """Text that is HTML already; everything else is escaped where it is put into an element."""

    __slots__ = ()


Child = Any  # Markup stays, None vanishes, a list or tuple is put in one after the other, anything else becomes text


def join(*children: Child) -> Markup:
    """One piece of markup from several children."""
    parts = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif isinstance(child, list | tuple):
            parts.append(join(*child))
        elif child is not None:
            parts.append(Markup(html.escape(str(child), quote=False)))
    return Markup("".join(parts))


VOID = frozenset({"input", "link", "meta"})
"""Elements of HTML that have no end."""


def element(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """An element; ``class_`` is written ``class``, ``aria_label`` ``aria-label``, and what is None is left out.

    >>> element("td", "a < b", class_="number", data_edge=3)
    '<td class="number" data-edge="3">a &lt; b</td>'
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{shown}>" if name in VOID else f"<{name}{shown}>{join(*children)}</{name}>")


def table(header: Iterable[Child], rows: Iterable[Iterable[Child]], *, numeric: Iterable[int] = ()) -> Markup:
    """A table that scrolls sideways where the page is narrow; ``numeric`` columns are aligned right."""
    right = set(numeric)

    def row(name: str, cells: Iterable[Child]) -> Markup:
        scope = "col" if name == "th" else None
        return element(
            "tr",
            [element(name, cell, scope=scope, class_="number" if i in right else None) for i, cell in enumerate(cells)],
        )

    body = [cells if isinstance(cells, Markup) else row("td", cells) for cells in rows]
    return element(
        "div",
        element("table", element("thead", row("th", header)), element("tbody", body)),
        class_="scroll",
        tabindex="0",  # so that the keyboard can scroll it
    )


def details(summary: str, *children: Child) -> Markup:
    """Something that is shown on demand."""
    return element("details", element("summary", summary), *children)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value)
