"""Figures of a statistical report as inline SVG: heat maps, critical differences, intervals, bars, scatter plots."""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from archgrad.bench.report.tables import csv
from archgrad.bench.statistics.results import BASELINES
from archgrad.report.charts import ticks
from archgrad.report.markup import Child, Markup, element, join
from archgrad.report.section import plain

CHAR = 7.3  # width of a letter of a 12px label
METHOD_COLOURS = 11  # in report.css
BASELINE_COLOURS = dict(zip(BASELINES, ("method-random", "method-search"), strict=True))  # two greys


def download(frame: pd.DataFrame, name: str) -> Markup:
    """A link that holds a table as CSV."""
    address = "data:text/csv;charset=utf-8," + urllib.parse.quote(csv(frame))
    return element("a", "CSV", href=address, download=f"{name}.csv", class_="csv", title=f"The data as {name}.csv")


def figure(caption: Child, drawing: Child, data: pd.DataFrame, name: str) -> Markup:
    """A drawing with its caption and its data."""
    return element("figure", element("figcaption", element("span", caption), download(data, name)), drawing)


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """Method → the class that colours it in a whole report."""
    others = sorted(set(methods) - set(BASELINES))
    coloured = {method: f"method-{i % METHOD_COLOURS}" for i, method in enumerate(others)}
    return coloured | {method: colour for method, colour in BASELINE_COLOURS.items() if method in methods}


@dataclass(frozen=True)
class Tile:
    """A cell of a heat map. ``shade``: −1 … 1, its sign chooses the colour; None is empty. ``second``: a small line."""

    text: str
    shade: float | None
    title: str
    second: str = ""
    strong: bool = False


def heat_map(
    told: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Sequence[Tile]],
    *,
    width: float,
    height: float = 24,
    titles: Sequence[str] | None = None,
) -> Markup:
    """Cells in rows and columns; a column's name that is longer than a cell is wide is broken."""
    left = 12 + CHAR * max(map(len, rows), default=0)
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
    for i, (row, line) in enumerate(zip(rows, cells, strict=True)):
        y = top + i * height
        parts.append(element("text", row, x=left - 8, y=y + height / 2 + 4, class_="end"))
        for j, cell in enumerate(line):
            parts.append(_cell(cell, left + j * width, y, width, height))
    wide, high = left + len(columns) * width + 4, top + len(rows) * height + 4
    return _svg(told, parts, wide, high)


def _cell(cell: Tile, x: float, y: float, width: float, height: float) -> Markup:
    if cell.shade is None or math.isnan(cell.shade):
        kind, mix = "heat empty", None
    else:
        kind = (
            "heat"
            + (" low" if cell.shade < 0 else "")
            + (" on" if abs(cell.shade) > 0.55 else "")
            + (" full" if abs(cell.shade) > 0.72 else "")
        )
        mix = f"--t:{100 * min(abs(cell.shade), 1):.0f}%"
    middle, centre = x + width / 2, y + height / 2
    text = [element("text", cell.text, x=middle, y=centre + (4 if not cell.second else -1), class_="middle")]
    if cell.second:
        text.append(element("text", cell.second, x=middle, y=centre + 12, class_="middle second"))
    box = element("rect", x=x + 1, y=y + 1, width=width - 2, height=height - 2, rx=3)
    return element("g", element("title", cell.title), box, text, class_=kind + " strong" * cell.strong, style=mix)


def critical_difference(
    told: str,
    methods: Sequence[str],
    average: Sequence[float],
    groups: Sequence[tuple[int, int]],
    distance: float,
    colours: dict[str, str],
) -> Markup:
    """Average ranks on an axis, best at the left; a bar joins methods that are not told apart (Demšar 2006)."""
    k = len(methods)
    width, side = 900.0, 30.0 + CHAR * (max(map(len, methods)) + 7)
    left, right, axis = side, width - side, 62.0

    def at(value: float) -> float:
        return left + (right - left) * (value - 1) / max(k - 1, 1)

    parts: list[Markup] = []
    if not math.isnan(distance) and distance <= k - 1:
        end = at(1 + distance)
        bracket = f"M{left:.1f} 14v8M{left:.1f} 18H{end:.1f}M{end:.1f} 14v8"
        parts.append(element("path", d=bracket, class_="measure"))
        words = f"critical difference {distance:.2f}"
        if end - left > CHAR * len(words):
            parts.append(element("text", words, x=(left + end) / 2, y=10, class_="tick middle"))
        else:
            parts.append(element("text", words, x=end + 8, y=22, class_="tick"))
    parts.append(element("line", x1=left, x2=right, y1=axis, y2=axis, class_="axis strong"))
    for mark in range(1, k + 1):
        parts.append(element("line", x1=at(mark), x2=at(mark), y1=axis - 6, y2=axis, class_="axis strong"))
        parts.append(element("text", mark, x=at(mark), y=axis - 12, class_="tick middle"))
    levels: list[float] = []  # the right end of the last bar on every level
    for first, last in groups:
        start, end = at(average[first]) - 5, at(average[last]) + 5
        level = next((i for i, used in enumerate(levels) if used + 6 < start), len(levels))
        levels[level : level + 1] = [end]
        y = axis + 12 + 9 * level
        label = element("title", f"not told apart: {', '.join(methods[first : last + 1])}")
        parts.append(element("line", label, x1=start, x2=end, y1=y, y2=y, class_="group"))
    below = axis + 26 + 9 * len(levels)
    half = (k + 1) // 2
    for i, (method, value) in enumerate(zip(methods, average, strict=True)):
        on_left = i < half
        y = below + 20 * (i if on_left else k - 1 - i)
        x, end = at(value), (left - 12 if on_left else right + 12)
        stem = f"M{x:.1f} {axis:.1f}V{y:.1f}H{end:.1f}"
        text = [element("tspan", method), element("tspan", f"  {value:.2f}", class_="soft")]
        text = text if on_left else [element("tspan", f"{value:.2f}  ", class_="soft"), element("tspan", method)]
        anchor = "end" if on_left else "start"
        content = [
            element("title", f"{method}: average rank {value:.3f}"),
            element("path", d=stem, class_="stem"),
            element("circle", cx=x, cy=axis, r=4.5),
            element("text", text, x=end + (-6 if on_left else 6), y=y + 4, class_=anchor, **{"xml:space": "preserve"}),
        ]
        parts.append(element("g", content, class_=f"placed {colours[method]}"))
    return _svg(told, parts, width, below + 20 * half, class_="critical")


@dataclass(frozen=True)
class Interval:
    """A value with its bounds, which may be NaN."""

    name: str
    value: float
    low: float
    high: float
    colour: str


def intervals(
    told: str, entries: Sequence[Interval], *, shown: Callable[[float], str] = plain, width: float = 330
) -> Markup:
    """A dot with a line for the interval, a row per entry."""
    left = 14 + CHAR * max(len(entry.name) for entry in entries)
    row, top = 24.0, 6.0
    numbers = [v for e in entries for v in (e.value, e.low, e.high) if not math.isnan(v)]
    marks = ticks(min(numbers), max(numbers), 4) if numbers else [0.0, 1.0]
    right = width - 14
    bottom = top + row * len(entries) + 4

    def at(value: float) -> float:
        return left + (right - left) * (value - marks[0]) / (marks[-1] - marks[0])

    parts = [element("line", x1=at(mark), x2=at(mark), y1=top, y2=bottom, class_="grid") for mark in marks]
    parts += [element("text", shown(mark), x=at(mark), y=bottom + 14, class_="tick middle") for mark in marks]
    for i, entry in enumerate(entries):
        y = top + row * (i + 0.5)
        parts.append(element("text", entry.name, x=left - 10, y=y + 4, class_="end"))
        if math.isnan(entry.value):
            continue
        known = not (math.isnan(entry.low) or math.isnan(entry.high))
        bounds = f", {shown(entry.low)} to {shown(entry.high)}" if known else ""
        content = [element("title", f"{entry.name}: {shown(entry.value)}{bounds}")]
        if known:
            span = element("line", x1=at(entry.low), x2=at(entry.high), y1=y, y2=y, class_="reach")
            content.append(span)
        content.append(element("circle", cx=at(entry.value), cy=y, r=4.5))
        parts.append(element("g", content, class_=f"estimate {entry.colour}"))
    return _svg(told, parts, width, bottom + 20)


def bars(
    told: str,
    names: Sequence[str],
    values: Sequence[Sequence[float]],
    series: Sequence[tuple[str, str]],
    *,
    stacked: bool = False,
    shown: Callable[[float], str] = plain,
    remarks: Sequence[str] = (),
    width: float = 500,
) -> Markup:
    """Horizontal bars, a row per name and in it one per series (name, colour class), side by side or stacked."""
    left = 14 + CHAR * max(map(len, names))
    right = width - (18 + CHAR * max(map(len, remarks), default=0))
    thick = 18 if stacked or len(series) == 1 else 11
    row = 26 if stacked or len(series) == 1 else 11 * len(series) + 12
    ends = [
        sum(v for v in line if v == v) if stacked else max((v for v in line if v == v), default=0) for line in values
    ]
    marks = ticks(0.0, max([*ends, 1e-9]), 4)
    if stacked and max(ends) <= 1 + 1e-9:
        marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    top, bottom = 4.0, 8.0 + row * len(names)

    def at(value: float) -> float:
        return left + (right - left) * value / marks[-1]

    parts = [element("line", x1=at(mark), x2=at(mark), y1=top, y2=bottom, class_="grid") for mark in marks]
    parts += [element("text", shown(mark), x=at(mark), y=bottom + 14, class_="tick middle") for mark in marks]
    for i, (name, line) in enumerate(zip(names, values, strict=True)):
        y = top + row * i + (row - thick * (1 if stacked else len(series))) / 2
        parts.append(element("text", name, x=left - 8, y=top + row * (i + 0.5) + 4, class_="end"))
        start = 0.0
        for (label, colour), value in zip(series, line, strict=True):
            if value == value:
                size = max(at(start + value) - at(start), 0.0)
                title = element("title", f"{name}, {label}: {shown(value)}")
                box = element("rect", title, x=at(start), y=y, width=size, height=thick - 1, class_=f"bar {colour}")
                parts.append(box)
            start, y = (start + (value if value == value else 0), y) if stacked else (0.0, y + thick)
        if i < len(remarks):
            parts.append(element("text", remarks[i], x=right + 10, y=top + row * (i + 0.5) + 4, class_="tick"))
    return _svg(told, parts, width, bottom + 20)


@dataclass(frozen=True)
class Spot:
    """A point of a scatter plot with a name."""

    name: str
    x: float
    y: float
    colour: str
    title: str


def pareto(
    told: str,
    spots: Sequence[Spot],
    *,
    x_name: str,
    y_name: str,
    shown: Callable[[float], str],
    size: tuple[float, float] = (500, 320),
) -> Markup:
    """Cost against score; the line joins those that nobody beats in both (small x, large y)."""
    width, height = size
    x_marks = ticks(min(s.x for s in spots), max(s.x for s in spots), 4)
    y_marks = ticks(min(s.y for s in spots), max(s.y for s in spots), 5)
    left, right, top, bottom = 16 + 6.6 * max(len(plain(m)) for m in y_marks), width - 14, 22, height - 38

    def at(spot: Spot) -> tuple[float, float]:
        return (
            left + (right - left) * (spot.x - x_marks[0]) / (x_marks[-1] - x_marks[0]),
            bottom - (bottom - top) * (spot.y - y_marks[0]) / (y_marks[-1] - y_marks[0]),
        )

    parts: list[Markup] = [element("text", y_name, x=0, y=10, class_="tick")]
    for mark in y_marks:
        y = bottom - (bottom - top) * (mark - y_marks[0]) / (y_marks[-1] - y_marks[0])
        parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
        parts.append(element("text", plain(mark), x=left - 6, y=y + 4, class_="tick end"))
    for mark in x_marks:
        x = left + (right - left) * (mark - x_marks[0]) / (x_marks[-1] - x_marks[0])
        parts.append(element("text", shown(mark), x=x, y=bottom + 16, class_="tick middle"))
    parts.append(element("text", x_name, x=(left + right) / 2, y=height - 4, class_="tick middle"))
    front = [at(spot) for spot in front_of(spots)]
    steps = "".join(f"H{x:.1f}V{y:.1f}" for x, y in front[1:])
    if front:
        parts.append(element("path", d=f"M{front[0][0]:.1f} {front[0][1]:.1f}{steps}H{right:.1f}", class_="front"))
    taken: list[tuple[float, float, float, float]] = [(x - 6, y - 6, x + 6, y + 6) for x, y in map(at, spots)]
    for spot in sorted(spots, key=lambda s: -s.y):
        x, y = at(spot)
        place, box = _label_place(spot.name, x, y, taken, (left, right, top - 8, bottom))
        taken.append(box)
        content = [
            element("title", spot.title),
            element("circle", cx=x, cy=y, r=5),
            element("text", spot.name, x=place[0], y=place[1], class_=place[2]),
        ]
        parts.append(element("g", content, class_=f"spot {spot.colour}"))
    return _svg(told, parts, width, height)


def front_of(spots: Sequence[Spot]) -> list[Spot]:
    """Those that no other beats in one and equals in the other, by increasing x."""
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda s: (s.x, -s.y)):
        if not found or spot.y > found[-1].y:
            found.append(spot)
    return found


def _label_place(
    name: str,
    x: float,
    y: float,
    taken: Sequence[tuple[float, float, float, float]],
    area: tuple[float, float, float, float],
) -> tuple[tuple[float, float, str], tuple[float, float, float, float]]:
    """Where a label touches nothing: right, left, above, below of its point, then further away."""
    wide = CHAR * len(name)
    tried = []
    for away in (0, 12, 24, 36):
        for dy in (0, -away, away) if away else (0,):
            tried.append((x + 9, y + 4 + dy, "start", x + 8))
            tried.append((x - 9, y + 4 + dy, "end", x - 8 - wide))
        tried.append((x, y - 9 - away, "middle", x - wide / 2))
        tried.append((x, y + 17 + away, "middle", x - wide / 2))
    boxes = [(start, ty - 10, start + wide, ty + 3) for _, ty, _, start in tried]

    def hidden(box: tuple[float, float, float, float]) -> float:
        outside = box[0] < area[0] or box[2] > area[1] + 8 or box[1] < area[2] or box[3] > area[3]
        return 100 * outside + sum(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
        )

    best = min(range(len(boxes)), key=lambda i: hidden(boxes[i]))
    return tried[best][:3], boxes[best]


def _broken(name: str, width: float) -> list[str]:
    """A column's name in lines that fit, broken after its hyphens, or after its underscores if it has none."""
    mark = "-" if "-" in name else "_"
    if 0.92 * CHAR * len(name) <= width or mark not in name:
        return [name]
    return re.findall(f"[^{mark}]+{mark}?", name)


def _svg(told: str, parts: Sequence[Markup], width: float, height: float, class_: str | None = None) -> Markup:
    """In its own size where there is room, smaller where there is not."""
    drawing = element(
        "svg",
        join(*parts),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        aria_label=told,
        class_=class_,
        style=f"max-width:{width:.0f}px;min-width:{min(0.8 * width, 720):.0f}px",
    )
    return element("div", drawing, class_="drawing")
