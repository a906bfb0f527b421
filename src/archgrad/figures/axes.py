"""Scales and axes: where a number stands in a drawing, and the marks that let people read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from archgrad.figures.markup import Child, Markup, element
from archgrad.figures.numbers import plain

LETTER = 7.3  # the width of a letter of a label of 12 px
BOLD_LETTER = 8.4  # of a bold one of 13 px
TICK_LETTER = 6.6  # and of one of 11 px
LARGEST = 1.15  # how much larger than it was drawn a drawing is shown
NARROW = 340  # the width for which drawings for phones are made

Shown = Callable[[float], str]


@dataclass(frozen=True)
class Scale:
    """The numbers from ``low`` to ``high``, drawn from ``start`` to ``end``.

    >>> Scale(0, 10, 100, 0)(2.5)
    75.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a number is drawn."""
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Axes:
    """A plot's area: ``x`` from left to right, and ``y``, whose low end is at the bottom."""

    x: Scale
    y: Scale

    @property
    def width(self) -> float:
        """Of the area."""
        return self.x.end - self.x.start

    @property
    def height(self) -> float:
        """Of the area."""
        return self.y.start - self.y.end

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pair of numbers is drawn."""
        return self.x(x), self.y(y)

    def rows(self, marks: Iterable[float], shown: Shown = plain) -> list[Markup]:
        """A line across the area per mark of y, with its number on the left."""
        parts = []
        for mark in marks:
            y = self.y(mark)
            parts.append(element("line", x1=self.x.start, x2=self.x.end, y1=y, y2=y, class_="grid"))
            parts.append(element("text", shown(mark), x=self.x.start - 6, y=y + 4, class_="tick end"))
        return parts

    def columns(self, marks: Iterable[float], shown: Shown = plain, *, lines: bool = True) -> list[Markup]:
        """The number of every mark of x below the area, and a line up through it."""
        parts = []
        for mark in marks:
            x = self.x(mark)
            if lines:
                parts.append(element("line", x1=x, x2=x, y1=self.y.end, y2=self.y.start, class_="grid"))
            parts.append(element("text", shown(mark), x=x, y=self.y.start + 16, class_="tick middle"))
        return parts

    def names(self, names: Sequence[str]) -> list[Markup]:
        """A name on the left of every row of an area of rows."""
        return [
            element("text", name, x=self.x.start - 8, y=self.y(i + 0.5) + 4, class_="end")
            for i, name in enumerate(names)
        ]

    def line(self, points: Iterable[tuple[float, float]]) -> str:
        """The path through pairs of numbers."""
        return " ".join(f"{'L' if i else 'M'}{a:.1f} {b:.1f}" for i, (a, b) in enumerate(self.at(*p) for p in points))


def of_rows(names: Sequence[str], marks: Sequence[float], width: float, *, row: float, right: float = 14) -> Axes:
    """Axes of a figure with a name and a row for everything that it shows: x runs over the marks, y counts the rows."""
    left = 14 + LETTER * max(map(len, names), default=0)
    right = max(right, 2 + TICK_LETTER * len(plain(marks[-1])) / 2)
    return Axes(Scale(marks[0], marks[-1], left, width - right), Scale(len(names), 0, 6 + row * len(names), 6))


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers that cover [low, high], in steps of 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 0.93)
    [0.0, 0.5, 1.0]
    """
    scale = max(1.0, abs(low), abs(high))
    span = high - low if high - low > 1e-9 * scale else scale
    size = 10.0 ** math.floor(math.log10(span / wanted))
    step = size * next(factor for factor in (1, 2, 5, 10) if factor * size * wanted >= 0.9 * span)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:  # one value needs a second tick: below it, since above 100 % there is nothing
        first, last = (first - 1, last) if last > 0 else (first, last + 1)
    return [round(step * i, 12) for i in range(first, last + 1)]


def svg(told: str, parts: Child, width: float, height: float, /, **attributes: str) -> Markup:
    """A drawing; ``told``: what it shows, for those who cannot see it.

    It is as wide as its place, but so little wider than ``width`` that its letters stay letters of a page.
    """
    box = f"0 0 {width:.0f} {height:.0f}"
    own = {"style": f"max-width:{LARGEST * width:.0f}px"} | attributes
    return element("svg", parts, viewBox=box, role="img", aria_label=told, **own)


def own_size(told: str, parts: Child, width: float, height: float, **attributes: str) -> Markup:
    """A drawing in its own size where there is room, smaller where there is not."""
    style = f"max-width:{width:.0f}px;min-width:{min(0.7 * width, 720):.0f}px"
    return element("div", svg(told, parts, width, height, style=style, **attributes), class_="drawing")


def by_width(wide: Markup, narrow: Markup) -> list[Markup]:
    """The same twice: what is seen on a desk, and what is seen on a phone, ``NARROW`` wide or less."""
    return [element("div", wide, class_="on-wide"), element("div", narrow, class_="on-narrow")]


def style() -> str:
    """The rules and colours of all drawings."""
    return resources.files(__package__).joinpath("style.css").read_text()
