"""A cell as a graph: states in a row from left to right, and each kept edge on a lane of its own.

Edges between neighbouring states run straight (lane 0); all others rise from their source to a lane above (1, 2, …) or
below (−1, −2, …) the row and come down at their target. Edges of one lane do not overlap, lines turn only near states,
and labels stand between states: so no label can meet another label, or a line other than its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archgrad.figures.axes import LETTER, own_size
from archgrad.figures.markup import Markup, element

NODE_WIDTH, NODE_HEIGHT = 62.0, 40.0
LANE = 40.0
LABEL_HEIGHT = 24.0
CORNER = 12.0
LONGEST = 26  # characters of a label


@dataclass(frozen=True)
class Arrow:
    """A kept edge, labelled with its operation."""

    source: int
    target: int
    operation: str
    colour: str

    @property
    def label(self) -> str:
        """The operation's name, shortened where it would not fit."""
        return self.operation if len(self.operation) <= LONGEST else self.operation[: LONGEST - 1] + "…"


def lanes(spans: Sequence[tuple[int, int]]) -> list[int]:
    """The lane of each span, shorter spans nearer to the row; spans that overlap get different lanes."""
    taken: dict[int, list[tuple[int, int]]] = {}
    result = [0] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i])):
        start, end = spans[i]
        lane = 0 if end - start == 1 else 1
        while any(start < b and a < end for a, b in taken.get(lane, [])):
            lane = -lane if lane > 0 else 1 - lane
        taken.setdefault(lane, []).append((start, end))
        result[i] = lane
    return result


def draw(title: str, states: Sequence[int], inputs: int, outputs: Sequence[int], arrows: Sequence[Arrow]) -> Markup:
    """The graph of one cell.

    ``states`` are in the order of the row; the first ``inputs`` of them are inputs. With several ``outputs`` the cell
    ends in their concatenation, drawn as a rail below everything.
    """
    place = {state: i for i, state in enumerate(states)}
    spans = [(place[a.source], place[a.target]) for a in arrows]
    lane = lanes(spans)
    joined = len(outputs) > 1
    columns = len(states) + joined
    gap, room = _gaps(spans, [_label_width(arrow) + 2 * CORNER + 22 for arrow in arrows], columns)
    left = [4.0 + sum(room[:i]) + i * NODE_WIDTH for i in range(columns)]
    highest, lowest = max([0, *lane]), min([0, *lane]) - joined
    row = 6 + NODE_HEIGHT / 2 + LANE * highest + (14 if highest else 0)
    height = row + NODE_HEIGHT / 2 + 6 - LANE * lowest + (14 if lowest else 0)
    leaving, arriving = _ports(spans, lane, end=0), _ports(spans, lane, end=1)
    parts: list[Markup] = []
    if joined:
        parts.append(_rail([left[place[s]] for s in outputs], left[-1], row, _level(row, lowest)))
    for i, (arrow, (start, end)) in enumerate(zip(arrows, spans, strict=True)):
        x1, x2 = left[start] + NODE_WIDTH / 2 + leaving[i], left[end] + NODE_WIDTH / 2 - arriving[i]
        path, tip = _straight(left[start], left[end], row) if lane[i] == 0 else _bent(x1, x2, row, lane[i])
        parts.append(_arrow(arrow, path, tip, left[gap[i]] + NODE_WIDTH + room[gap[i]] / 2, _level(row, lane[i])))
    for i, state in enumerate(states):
        ends = not joined and state in outputs
        parts.append(_node(left[i], row, str(state), "input" if i < inputs else "output" if ends else ""))
    if joined:
        parts.append(_node(left[-1], row, "concat", "output"))
    width = left[-1] + NODE_WIDTH + 4
    told = ", ".join(f"{a.source} to {a.target} {a.operation}" for a in arrows)
    return own_size(f"{title}: {told}", parts, width, height, class_="cell")


def _level(row: float, lane: int) -> float:
    """The height of a lane; the first ones keep clear of the states."""
    return row - LANE * lane - (0 if lane == 0 else 14 if lane > 0 else -14)


def _straight(start: float, end: float, row: float) -> tuple[str, tuple[float, float, float]]:
    """The line between neighbouring states, and where its tip is and points to."""
    return f"M{start + NODE_WIDTH:.1f} {row}H{end - 6:.1f}", (end - 1, row, 0)


def _bent(x1: float, x2: float, row: float, lane: int) -> tuple[str, tuple[float, float, float]]:
    """The line along a lane, and where its tip is and points to."""
    side = 1 if lane > 0 else -1
    edge, y = row - side * NODE_HEIGHT / 2, _level(row, lane)
    path = (
        f"M{x1:.1f} {edge:.1f}V{y + side * CORNER:.1f}Q{x1:.1f} {y:.1f} {x1 + CORNER:.1f} {y:.1f}"
        f"H{x2 - CORNER:.1f}Q{x2:.1f} {y:.1f} {x2:.1f} {y + side * CORNER:.1f}V{edge - side * 6:.1f}"
    )
    return path, (x2, edge - side, 90 * side)


def _gaps(spans: Sequence[tuple[int, int]], needed: Sequence[float], columns: int) -> tuple[list[int], list[float]]:
    """The space between two states in which each label stands, and how wide each space must be.

    Short spans have the least freedom and choose first; the others take the place that widens the row least, and among
    such places the one nearest to their middle.
    """
    room, gap = [44.0] * columns, [0] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: spans[i][1] - spans[i][0]):
        start, end = spans[i]
        gap[i] = min(range(start, end), key=lambda g: (max(needed[i] - room[g], 0), abs(2 * g + 1 - start - end)))
        room[gap[i]] = max(room[gap[i]], needed[i])
    return gap, room


def _ports(spans: Sequence[tuple[int, int]], lane: Sequence[int], end: int) -> list[float]:
    """How far from the middle of its state each line leaves (``end`` 0) or arrives (1): outer lanes nearest to it.

    Nested this way, two lines of the same state never cross each other.
    """
    result = [0.0] * len(spans)
    for state in {span[end] for span in spans}:
        for side in (1, -1):
            here = sorted((abs(lane[i]), i) for i in range(len(spans)) if spans[i][end] == state and lane[i] * side > 0)
            for position, (_, i) in enumerate(reversed(here), start=1):
                result[i] = (NODE_WIDTH / 2 - 6) * position / (len(here) + 0.5)
    return result


def _label_width(arrow: Arrow) -> float:
    return LETTER * len(arrow.label) + 18


def _arrow(arrow: Arrow, path: str, tip: tuple[float, float, float], x: float, y: float) -> Markup:
    width = _label_width(arrow)
    return element(
        "g",
        element("title", f"{arrow.source} → {arrow.target}: {arrow.operation}"),
        element("path", d=path, class_="line"),
        element("path", d="M0 0L-8 -4.5V4.5Z", transform=f"translate({tip[0]:.1f} {tip[1]:.1f}) rotate({tip[2]})"),
        element("rect", x=x - width / 2, y=y - LABEL_HEIGHT / 2, width=width, height=LABEL_HEIGHT, rx=12),
        element("text", arrow.label, x=x, y=y + 4, class_="middle"),
        class_=f"edge {arrow.colour}",
        data_edge=f"{arrow.source}-{arrow.target}",
        data_operation=arrow.operation,
    )


def _node(x: float, row: float, name: str, caption: str) -> Markup:
    middle = x + NODE_WIDTH / 2
    lines = [element("text", name, x=middle, y=row + (0 if caption else 5), class_="middle")]
    if caption:
        lines.append(element("text", caption, x=middle, y=row + 13, class_="middle caption"))
    box = element("rect", x=x, y=row - NODE_HEIGHT / 2, width=NODE_WIDTH, height=NODE_HEIGHT, rx=10)
    return element("g", box, lines, class_="state")


def _rail(lefts: Sequence[float], end: float, row: float, y: float) -> Markup:
    """The concatenation: from below every output to one line that ends below the last state."""
    bottom, target = row + NODE_HEIGHT / 2, end + NODE_WIDTH / 2
    drops = "".join(
        f"M{x + NODE_WIDTH / 2:.1f} {bottom:.1f}V{y - CORNER:.1f}"
        f"Q{x + NODE_WIDTH / 2:.1f} {y:.1f} {x + NODE_WIDTH / 2 + CORNER:.1f} {y:.1f}H{target - CORNER:.1f}"
        for x in lefts
    )
    finish = f"M{target - CORNER:.1f} {y:.1f}Q{target:.1f} {y:.1f} {target:.1f} {y - CORNER:.1f}V{bottom + 6:.1f}"
    return element(
        "g",
        element("title", "the output is the concatenation of these states"),
        element("path", d=drops + finish, class_="line"),
        element("path", d="M0 0L-8 -4.5V4.5Z", transform=f"translate({target:.1f} {bottom + 1:.1f}) rotate(-90)"),
        class_="rail",
    )
