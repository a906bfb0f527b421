"""Line charts; every epoch can be hovered for its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import LETTER, TICK_LETTER, Axes, Scale, Shown, svg, ticks
from archgrad.figures.markup import Markup, element
from archgrad.figures.numbers import plain

HOVERED = 80  # hover bands per chart at most: more would only make the page heavy


@dataclass(frozen=True)
class Series:
    """One line: a value (or None) per position of the chart's x axis, and the class that colours it."""

    name: str
    values: Sequence[float | None]
    colour: str
    thin: bool = False


def line_chart(
    title: str,
    x: Sequence[float],
    series: Sequence[Series],
    *,
    x_name: str = "epoch",
    y_ticks: Sequence[float] | None = None,
    shown: Shown = plain,
    size: tuple[int, int] = (400, 220),
    key: bool = False,
) -> Markup:
    """Lines over x, an axis of round numbers, and per x a band whose title lists the values, largest first.

    ``key``: the names of the lines, in their colours, stand above them; pages with several charts have a legend.
    The usual ``size`` can be read at the width of a phone.
    """
    width, height = size
    small = width < 300
    values = [value for line in series for value in line.values if value is not None]
    if not values:
        return element("p", f"{title}: nothing to draw yet.", class_="note")
    marks = list(y_ticks or ticks(min(values), max(values)))
    left = 9 + TICK_LETTER * max(len(shown(mark)) for mark in marks)
    x_low, x_high = min(x), max(max(x), min(x) + 1)
    whole = sorted({round(mark) for mark in ticks(x_low, x_high, 2 if small else 6)})
    whole = [mark for mark in whole if x_low <= mark <= x_high]
    right = max(10.0, 3 + TICK_LETTER * len(str(whole[-1] if whole else "")) / 2)
    names, top = _key(series, left, width) if key else ([], 8.0)
    y = Scale(marks[0], marks[-1], height - (20 if small else 34), top)
    axes = Axes(Scale(x_low, x_high, left, width - right), y)
    parts = [*names, *axes.rows(marks, shown), *axes.columns(whole, str, lines=False)]
    if not small:
        middle = (axes.x.start + axes.x.end) / 2
        parts.append(element("text", x_name, x=middle, y=height - 3, class_="tick middle"))
    for line in series:
        parts.extend(_line(axes, x, line))
    parts.extend(_bands(axes, x, series, x_name, shown))
    ends = ", ".join(f"{s.name} {shown(s.values[-1])}" for s in series if s.values and s.values[-1] is not None)
    told = f"{title}, {x_name} {plain(x_low)} to {plain(max(x))}; at the end: {ends}"
    return svg(told, parts, width, height)


def _line(axes: Axes, x: Sequence[float], line: Series) -> list[Markup]:
    points = [(a, b) for a, b in zip(x, line.values, strict=True) if b is not None]
    parts = []
    if len(points) == 1:  # a single value has no line to show it
        place = axes.at(*points[0])
        parts.append(element("circle", cx=place[0], cy=place[1], r=2.5, class_=f"point {line.colour}"))
    if points:
        classes = f"line {line.colour}" + (" thin" if line.thin else "")
        parts.append(element("path", element("title", line.name), d=axes.line(points), class_=classes))
    return parts


def _key(series: Sequence[Series], left: float, width: float) -> tuple[list[Markup], float]:
    """Dots with names in as many rows as they need, and where the area below them begins."""
    parts: list[Markup] = []
    x, y = left, 8.0
    for line in series:
        size = 20 + LETTER * len(line.name)
        if x > left and x + size > width:
            x, y = left, y + 18
        parts.append(element("circle", cx=x + 4, cy=y, r=4, class_=f"point {line.colour}"))
        parts.append(element("text", line.name, x=x + 13, y=y + 4))
        x += size + 10
    return parts, y + 20


def _bands(axes: Axes, x: Sequence[float], series: Sequence[Series], x_name: str, shown: Shown) -> list[Markup]:
    top, bottom = axes.y.end, axes.y.start
    chosen = range(0, len(x), math.ceil(len(x) / HOVERED))
    bands = []
    for before, i, after in zip([None, *chosen], chosen, [*chosen[1:], None], strict=False):
        middle = axes.x(x[i])
        start = axes.x.start if before is None else (axes.x(x[before]) + middle) / 2
        end = axes.x.end if after is None else (axes.x(x[after]) + middle) / 2
        here = [(value, line.name) for line in series if (value := line.values[i]) is not None]
        text = "\n".join(f"{name}  {shown(value)}" for value, name in sorted(here, key=lambda pair: -pair[0]))
        bands.append(
            element(
                "g",
                element("title", f"{x_name} {plain(x[i])}\n{text}"),
                element("rect", x=start, y=top, width=end - start, height=bottom - top),
                element("line", x1=middle, x2=middle, y1=top, y2=bottom),
                class_="band",
            )
        )
    return bands
