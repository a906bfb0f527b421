"""Scatter plots of cost against score, with their Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import LETTER, TICK_LETTER, Axes, Scale, Shown, own_size, ticks
from archgrad.figures.markup import Markup, element
from archgrad.figures.numbers import plain

Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Spot:
    """A point of a scatter plot; without a name it has no label, and with an address it leads there."""

    name: str
    x: float
    y: float
    colour: str
    title: str
    href: str | None = None


def pareto(
    told: str,
    spots: Sequence[Spot],
    *,
    x_name: str,
    y_name: str,
    shown: Shown,
    size: tuple[float, float] = (500, 320),
    higher_is_better: bool = True,
) -> Markup:
    """Cost against score; the line joins those that nobody beats in both (small x, and large y or small)."""
    width, height = size
    x_marks = ticks(min(s.x for s in spots), max(s.x for s in spots), 4)
    y_marks = ticks(min(s.y for s in spots), max(s.y for s in spots), 5)
    left = 16 + TICK_LETTER * max(len(plain(m)) for m in y_marks)
    x, y = Scale(x_marks[0], x_marks[-1], left, width - 14), Scale(y_marks[0], y_marks[-1], height - 38, 22)
    axes = Axes(x, y)
    parts = [
        element("text", y_name, x=0, y=10, class_="tick"),
        *axes.rows(y_marks),
        *axes.columns(x_marks, shown, lines=False),
        element("text", x_name, x=(x.start + x.end) / 2, y=height - 4, class_="tick middle"),
    ]
    front = [axes.at(spot.x, spot.y) for spot in front_of(spots, higher_is_better)]
    steps = "".join(f"H{a:.1f}V{b:.1f}" for a, b in front[1:])
    if front:
        parts.append(element("path", d=f"M{front[0][0]:.1f} {front[0][1]:.1f}{steps}H{x.end:.1f}", class_="front"))
    taken: list[Box] = [(x(s.x) - 6, y(s.y) - 6, x(s.x) + 6, y(s.y) + 6) for s in spots]
    for spot in sorted(spots, key=lambda s: -s.y):
        a, b = axes.at(spot.x, spot.y)
        content = [element("title", spot.title), element("circle", cx=a, cy=b, r=5)]
        if spot.name:
            place, box = _label_place(spot.name, a, b, taken, (x.start, y.end - 8, x.end, y.start))
            taken.append(box)
            content.append(element("text", spot.name, x=place[0], y=place[1], class_=place[2]))
        drawn = element("g", content, class_=f"spot {spot.colour}")
        parts.append(element("a", drawn, href=spot.href) if spot.href else drawn)
    return own_size(told, parts, width, height)


def front_of(spots: Sequence[Spot], higher_is_better: bool = True) -> list[Spot]:
    """Those that no other beats in one and equals in the other, by increasing x."""
    found: list[Spot] = []
    sign = 1 if higher_is_better else -1
    for spot in sorted(spots, key=lambda s: (s.x, -sign * s.y)):
        if not found or sign * spot.y > sign * found[-1].y:
            found.append(spot)
    return found


def _label_place(
    name: str,
    x: float,
    y: float,
    taken: Sequence[Box],
    area: Box,
) -> tuple[tuple[float, float, str], Box]:
    """Where a label touches nothing: right, left, above, below of its point, then further away."""
    wide = LETTER * len(name)
    tried = []
    for away in (0, 12, 24, 36):
        for dy in (0, -away, away) if away else (0,):
            tried.append((x + 9, y + 4 + dy, "start", x + 8))
            tried.append((x - 9, y + 4 + dy, "end", x - 8 - wide))
        tried.append((x, y - 9 - away, "middle", x - wide / 2))
        tried.append((x, y + 17 + away, "middle", x - wide / 2))
    boxes = [(start, ty - 10, start + wide, ty + 3) for _, ty, _, start in tried]

    def hidden(box: Box) -> float:
        outside = box[0] < area[0] or box[1] < area[1] or box[2] > area[2] + 8 or box[3] > area[3]
        return 100 * outside + sum(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
        )

    best = min(range(len(boxes)), key=lambda i: hidden(boxes[i]))
    return tried[best][:3], boxes[best]
