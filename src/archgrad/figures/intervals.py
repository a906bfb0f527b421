"""Estimates with their intervals, a row each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import Shown, of_rows, own_size, ticks
from archgrad.figures.markup import Markup, element
from archgrad.figures.numbers import plain


@dataclass(frozen=True)
class Interval:
    """A value with its bounds, which may be NaN."""

    name: str
    value: float
    low: float
    high: float
    colour: str


def intervals(told: str, entries: Sequence[Interval], *, shown: Shown = plain, width: float = 330) -> Markup:
    """A dot with a line for the interval, a row per entry."""
    numbers = [v for e in entries for v in (e.value, e.low, e.high) if not math.isnan(v)]
    marks = ticks(min(numbers), max(numbers), 4) if numbers else [0.0, 1.0]
    names = [entry.name for entry in entries]
    axes = of_rows(names, marks, width, row=24)
    parts = [*axes.columns(marks, shown), *axes.names(names)]
    for i, entry in enumerate(entries):
        if math.isnan(entry.value):
            continue
        x, y = axes.at(entry.value, i + 0.5)
        known = not (math.isnan(entry.low) or math.isnan(entry.high))
        bounds = f", {shown(entry.low)} to {shown(entry.high)}" if known else ""
        content = [element("title", f"{entry.name}: {shown(entry.value)}{bounds}")]
        if known:
            content.append(element("line", x1=axes.x(entry.low), x2=axes.x(entry.high), y1=y, y2=y, class_="reach"))
        content.append(element("circle", cx=x, cy=y, r=4.5))
        parts.append(element("g", content, class_=f"estimate {entry.colour}"))
    return own_size(told, parts, width, axes.y.start + 24)
