"""Line charts as inline SVG; every epoch can be hovered for its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from archgrad.report.markup import Markup, element
from archgrad.report.section import plain

HOVERED = 80  # hover bands per chart at most: more would only make the page heavy


@dataclass(frozen=True)
class Series:
    """One line: a value (or None) per position of the chart's x axis, and the class that colours it."""

    name: str
    values: Sequence[float | None]
    colour: str
    thin: bool = False


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


def line_chart(
    title: str,
    x: Sequence[float],
    series: Sequence[Series],
    *,
    x_name: str = "epoch",
    y_ticks: Sequence[float] | None = None,
    shown: Callable[[float], str] = plain,
    size: tuple[int, int] = (460, 240),
) -> Markup:
    """Lines over x, an axis of round numbers, and per x a band whose title lists the values, largest first."""
    width, height = size
    small = width < 300
    values = [value for line in series for value in line.values if value is not None]
    if not values:
        return element("p", f"{title}: nothing to draw yet.", class_="note")
    marks = list(y_ticks or ticks(min(values), max(values)))
    labels = [shown(mark) for mark in marks]
    left, right, top, bottom = 9 + 6.6 * max(map(len, labels)), width - 10, 8, height - (20 if small else 34)
    x_low, x_high = min(x), max(max(x), min(x) + 1)

    def at_x(value: float) -> float:
        return left + (right - left) * (value - x_low) / (x_high - x_low)

    def at_y(value: float) -> float:
        return bottom - (bottom - top) * (value - marks[0]) / (marks[-1] - marks[0])

    parts: list[Markup] = []
    for mark, label in zip(marks, labels, strict=True):
        y = at_y(mark)
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(element("text", label, x=left - 6, y=y + 4, class_="tick end"))
    whole = sorted({round(mark) for mark in ticks(x_low, x_high, 2 if small else 6)})
    for mark in (mark for mark in whole if x_low <= mark <= x_high):
        parts.append(element("text", mark, x=at_x(mark), y=bottom + 16, class_="tick middle"))
    if not small:
        parts.append(element("text", x_name, x=(left + right) / 2, y=height - 3, class_="tick middle"))
    for line in series:
        points = [(at_x(a), at_y(b)) for a, b in zip(x, line.values, strict=True) if b is not None]
        classes = f"line {line.colour}" + (" thin" if line.thin else "")
        # A single value has no line to show it.
        if len(points) == 1:
            parts.append(element("circle", cx=points[0][0], cy=points[0][1], r=2.5, class_=f"point {line.colour}"))
        path = " ".join(f"{'L' if i else 'M'}{a:.1f} {b:.1f}" for i, (a, b) in enumerate(points))
        parts.append(element("path", element("title", line.name), d=path, class_=classes) if points else Markup())
    parts.extend(_bands(x, series, x_name, shown, at_x, (left, right, top, bottom)))
    ends = ", ".join(f"{s.name} {shown(s.values[-1])}" for s in series if s.values and s.values[-1] is not None)
    return element(
        "svg",
        parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=f"{title}, {x_name} {plain(x_low)} to {plain(max(x))}; at the end: {ends}",
    )


def _bands(
    x: Sequence[float],
    series: Sequence[Series],
    x_name: str,
    shown: Callable[[float], str],
    at_x: Callable[[float], float],
    box: tuple[float, float, float, float],
) -> list[Markup]:
    left, right, top, bottom = box
    chosen = range(0, len(x), math.ceil(len(x) / HOVERED))
    bands = []
    for before, i, after in zip([None, *chosen], chosen, [*chosen[1:], None], strict=False):
        middle = at_x(x[i])
        start = left if before is None else (at_x(x[before]) + middle) / 2
        end = right if after is None else (at_x(x[after]) + middle) / 2
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
