"""A cell from top to bottom, for pages that are too narrow for its graph: a row per kept edge and per state.

From every state a rail runs down in a column of its own. The rows of the edges into a state stand above it: each leaves
the rail of its source, bears the operation's name, and joins the line at the right that leads down to the state.
"""

from __future__ import annotations

from collections.abc import Sequence

from archgrad.figures.axes import LETTER, NARROW, own_size
from archgrad.figures.cell import LABEL_HEIGHT, Arrow
from archgrad.figures.markup import Markup, element

ROW, COLUMN, RADIUS = 31.0, 20.0, 10.0


def draw_rows(
    title: str, states: Sequence[int], inputs: int, outputs: Sequence[int], arrows: Sequence[Arrow]
) -> Markup:
    """The rows of one cell; arguments as `archgrad.figures.cell.draw`."""
    rows, joined = _Rows(states), len(outputs) > 1
    for place, state in enumerate(states):
        rows.edges(state, [arrow for arrow in arrows if arrow.target == state])
        output = state in outputs and not joined
        rows.state(state, "input" if place < inputs else "output" if output else "")
    if joined:
        rows.concatenation(outputs)
    told = ", ".join(f"{a.source} to {a.target} {a.operation}" for a in arrows)
    return own_size(
        f"{title}: {told}", [rows.rails(), *rows.parts], rows.width, rows.y - ROW + RADIUS + 6, class_="cell"
    )


class _Rows:
    """The drawing so far, from the top down to ``y``."""

    def __init__(self, states: Sequence[int]) -> None:
        self.column = {state: 4 + RADIUS + place * COLUMN for place, state in enumerate(states)}
        self.last = 4 + RADIUS + len(states) * COLUMN  # the column after those of the states
        self.names = self.last + COLUMN
        self.width = max(NARROW, self.names + 110)
        self.y = 4 + RADIUS
        self.parts: list[Markup] = []
        self.begins: dict[int, float] = {}  # state → where its rail begins
        self.ends: dict[int, float] = {}  # and where it is used for the last time

    def edges(self, state: int, arrows: Sequence[Arrow]) -> None:
        """A row per edge into a state, and the line at the right that leads down from them to the state."""
        first, longest = self.y, int((self.width - 44 - self.names) / LETTER)
        for arrow in arrows:
            source = self.column[arrow.source]
            self.parts.append(_edge(arrow, source, self.names, self.width, self.y, longest))
            self.ends[arrow.source] = self.y
            self.y += ROW
        if arrows:
            self.parts.append(_arrival(self.column[state], self.width, first, self.y))

    def state(self, state: int, caption: str) -> None:
        """The row of a state, with which its rail begins."""
        self.parts.append(_state(str(state), caption, self.column[state], self.y))
        self.begins[state] = self.y + RADIUS
        self.y += ROW

    def concatenation(self, outputs: Sequence[int]) -> None:
        """The last row: the rails of all outputs meet."""
        for state in outputs:
            self.parts.append(element("circle", cx=self.column[state], cy=self.y, r=3, class_="joint"))
            self.ends[state] = self.y
        start = min(self.column[state] for state in outputs)
        line = element("path", d=f"M{start:.1f} {self.y:.1f}H{self.last - RADIUS:.1f}", class_="line")
        title = element("title", "the output is the concatenation of these states")
        self.parts.append(element("g", title, line, class_="rail"))
        self.parts.append(_state("", "concat, output", self.last, self.y))
        self.y += ROW

    def rails(self) -> Markup:
        """A line down from every state that is used."""
        lines = [
            element("path", d=f"M{self.column[state]:.1f} {self.begins[state]:.1f}V{end:.1f}", class_="line")
            for state, end in self.ends.items()
        ]
        return element("g", lines, class_="rail")


def _edge(arrow: Arrow, source: float, names: float, width: float, y: float, longest: int) -> Markup:
    """A row: from the source's rail to the name, and on to the line at the right."""
    text = arrow.operation if len(arrow.operation) <= longest else arrow.operation[: longest - 1] + "…"
    size = LETTER * len(text) + 16
    return element(
        "g",
        element("title", f"{arrow.source} → {arrow.target}: {arrow.operation}"),
        element("circle", cx=source, cy=y, r=3, class_="joint"),
        element("path", d=f"M{source:.1f} {y:.1f}H{width - 8:.1f}", class_="line"),
        element("rect", x=names, y=y - LABEL_HEIGHT / 2, width=size, height=LABEL_HEIGHT, rx=12),
        element("text", text, x=names + size / 2, y=y + 4, class_="middle"),
        class_=f"edge {arrow.colour}",
    )


def _arrival(state: float, width: float, first: float, y: float) -> Markup:
    """The line at the right, from the first row of a state down to the state."""
    path = f"M{width - 8:.1f} {first:.1f}V{y:.1f}H{state + RADIUS + 8:.1f}"
    tip = element("path", d="M0 0L8 -4.5V4.5Z", transform=f"translate({state + RADIUS + 1:.1f} {y:.1f})")
    return element("g", element("path", d=path, class_="line"), tip, class_="rail")


def _state(name: str, caption: str, x: float, y: float) -> Markup:
    parts = [element("circle", cx=x, cy=y, r=RADIUS), element("text", name, x=x, y=y + 4.5, class_="middle")]
    if caption:
        size = LETTER * len(caption)
        parts.append(element("rect", x=x + RADIUS + 12, y=y - 8, width=size, height=16, class_="behind"))
        parts.append(element("text", caption, x=x + RADIUS + 15, y=y + 4, class_="caption"))
    return element("g", parts, class_="state")
