"""Horizontal bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

from archgrad.figures.axes import LETTER, Shown, of_rows, own_size, ticks
from archgrad.figures.markup import Markup, element
from archgrad.figures.numbers import plain


def bars(
    told: str,
    names: Sequence[str],
    values: Sequence[Sequence[float]],
    series: Sequence[tuple[str, str]],
    *,
    stacked: bool = False,
    shown: Shown = plain,
    remarks: Sequence[str] = (),
    width: float = 500,
) -> Markup:
    """A row per name and in it one bar per series (name, colour class), side by side or stacked; NaN has no bar."""
    known = [[value for value in line if not math.isnan(value)] for line in values]
    ends = [sum(line) if stacked else max(line, default=0) for line in known]
    marks = ticks(0.0, max([*ends, 1e-9]), 4)
    if stacked and max(ends) <= 1 + 1e-9:
        marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    single = stacked or len(series) == 1
    thick, row = (18, 26) if single else (11, 11 * len(series) + 12)
    axes = of_rows(names, marks, width, row=row, right=18 + LETTER * max(map(len, remarks), default=0))
    parts = [*axes.columns(marks, shown), *axes.names(names)]
    for i, (name, line) in enumerate(zip(names, values, strict=True)):
        y, start = axes.y(i + 0.5) - thick * (1 if single else len(series)) / 2, 0.0
        for (label, colour), value in zip(series, line, strict=True):
            if not math.isnan(value):
                size = max(axes.x(start + value) - axes.x(start), 0.0)
                title = element("title", f"{name}, {label}: {shown(value)}")
                place = {"x": axes.x(start), "y": y, "width": size, "height": thick - 1}
                parts.append(element("rect", title, **place, class_=f"bar {colour}"))
                start += value if stacked else 0.0
            y += 0 if stacked else thick
        if i < len(remarks):
            parts.append(element("text", remarks[i], x=axes.x.end + 10, y=axes.y(i + 0.5) + 4, class_="tick"))
    return own_size(told, parts, width, axes.y.start + 24)
