"""Diagrams of critical differences: average ranks on an axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from archgrad.figures.axes import LETTER, Scale, own_size
from archgrad.figures.markup import Markup, element


def critical_difference(
    told: str,
    methods: Sequence[str],
    average: Sequence[float],
    groups: Sequence[tuple[int, int]],
    distance: float,
    colours: Mapping[str, str],
) -> Markup:
    """Average ranks on an axis, best at the left; a bar joins methods that are not told apart (Demšar 2006)."""
    k = len(methods)
    width, side, axis = 900.0, 30.0 + LETTER * (max(map(len, methods)) + 7), 62.0
    x = Scale(1, max(k, 2), side, width - side)
    parts = _measure(distance, x) if not math.isnan(distance) and distance <= k - 1 else []
    parts.append(element("line", x1=x.start, x2=x.end, y1=axis, y2=axis, class_="axis strong"))
    for mark in range(1, k + 1):
        parts.append(element("line", x1=x(mark), x2=x(mark), y1=axis - 6, y2=axis, class_="axis strong"))
        parts.append(element("text", mark, x=x(mark), y=axis - 12, class_="tick middle"))
    levels: list[float] = []  # the right end of the last bar on every level
    for first, last in groups:
        start, end = x(average[first]) - 5, x(average[last]) + 5
        level = next((i for i, used in enumerate(levels) if used + 6 < start), len(levels))
        levels[level : level + 1] = [end]
        y = axis + 12 + 9 * level
        label = element("title", f"not told apart: {', '.join(methods[first : last + 1])}")
        parts.append(element("line", label, x1=start, x2=end, y1=y, y2=y, class_="group"))
    below = axis + 26 + 9 * len(levels)
    half = (k + 1) // 2
    for i, (method, value) in enumerate(zip(methods, average, strict=True)):
        y = below + 20 * (i if i < half else k - 1 - i)
        parts.append(_placed(method, value, x, axis, y, left=i < half, colour=colours[method]))
    return own_size(told, parts, width, below + 20 * half, class_="critical")


def _measure(distance: float, x: Scale) -> list[Markup]:
    """The critical difference as a bracket, its words inside where they fit."""
    end = x(1 + distance)
    bracket = f"M{x.start:.1f} 14v8M{x.start:.1f} 18H{end:.1f}M{end:.1f} 14v8"
    words = f"critical difference {distance:.2f}"
    if end - x.start > LETTER * len(words):
        text = element("text", words, x=(x.start + end) / 2, y=10, class_="tick middle")
    else:
        text = element("text", words, x=end + 8, y=22, class_="tick")
    return [element("path", d=bracket, class_="measure"), text]


def _placed(method: str, value: float, x: Scale, axis: float, y: float, *, left: bool, colour: str) -> Markup:
    """A method's name at the side, and the line from it to its place on the axis."""
    end = x.start - 12 if left else x.end + 12
    name, rank = (
        element("tspan", method),
        element("tspan", f"  {value:.2f}" if left else f"{value:.2f}  ", class_="soft"),
    )
    anchor = "end" if left else "start"
    text = {"x": end + (-6 if left else 6), "y": y + 4, "class_": anchor, "xml:space": "preserve"}
    content = [
        element("title", f"{method}: average rank {value:.3f}"),
        element("path", d=f"M{x(value):.1f} {axis:.1f}V{y:.1f}H{end:.1f}", class_="stem"),
        element("circle", cx=x(value), cy=axis, r=4.5),
        element("text", [name, rank] if left else [rank, name], **text),
    ]
    return element("g", content, class_=f"placed {colour}")
