"""Cell graphs: what is drawn is the genotype, and nothing overlaps."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest
import torch

from archgrad import spaces
from archgrad.figures.cell import Arrow, draw, lanes

EDGE = re.compile(r'data-edge="(\d+)-(\d+)" data-operation="(\w+)"')
BOX = re.compile(r'<rect x="([-\d.]+)" y="([-\d.]+)" width="([\d.]+)" height="([\d.]+)"')
LINE = re.compile(r'<path d="([^"]+)" class="line">')


def cells(space_name: str, seed: int) -> list[list[Arrow]]:
    """The arrows of every group of a random genotype."""
    space = spaces.get(space_name)
    genotype = space.random(torch.Generator().manual_seed(seed))
    return [
        [
            Arrow(edge.source, edge.target, name, "op-0")
            for edge, names in zip(group.edges, genotype.choices[group.name], strict=True)
            for name in names
        ]
        for group in space.groups.values()
    ]


def drawn(arrows: list[Arrow]) -> str:
    inputs = 2 if max(a.target for a in arrows) > 3 else 1
    states = range(max(a.target for a in arrows) + 1)
    return draw("cell", states, inputs, states[inputs:] if inputs > 1 else states[-1:], arrows)


def straight_pieces(path: str) -> list[tuple[float, float, float, float]]:
    """The horizontal and vertical pieces of a line as boxes of no width; its rounded corners are left out."""
    x = y = 0.0
    pieces = []
    for command, numbers in re.findall(r"([MHVQ])([^MHVQ]*)", path):
        *_, before, last = [0.0, *map(float, numbers.split())]
        new_x, new_y = {"H": (last, y), "V": (x, last)}.get(command, (before, last))
        if command in "HV":
            pieces.append((min(x, new_x), min(y, new_y), max(x, new_x), max(y, new_y)))
        x, y = new_x, new_y
    return pieces


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_every_kept_edge_is_drawn_exactly_once(space: str) -> None:
    for seed in range(20):
        for arrows in cells(space, seed):
            found = Counter((int(s), int(t), name) for s, t, name in EDGE.findall(drawn(arrows)))
            assert found == Counter((a.source, a.target, a.operation) for a in arrows)


@pytest.mark.parametrize("space", ["nasbench201", "darts"])
def test_no_label_or_state_meets_another_or_a_line_that_is_not_its_own(space: str) -> None:
    for seed in range(60):
        for arrows in cells(space, seed):
            svg = drawn(arrows)
            boxes = [(x, y, x + w, y + h) for x, y, w, h in (map(float, box) for box in BOX.findall(svg))]
            assert not any(overlap(a, b) for a, b in itertools.combinations(boxes, 2))
            lines = [straight_pieces(path) for path in LINE.findall(svg)]
            # Labels come with their lines, in the same order, after the rail (of DARTS), which has no label.
            labels, lines = boxes[: len(arrows)], lines[len(lines) - len(arrows) :]
            rail = [piece for path in LINE.findall(svg)[: -len(arrows)] for piece in straight_pieces(path)]
            for i, label in enumerate(labels):
                others = [piece for j, pieces in enumerate(lines) if j != i for piece in pieces] + rail
                assert not any(overlap(label, piece) for piece in others)


def test_everything_lies_inside_the_picture() -> None:
    for arrows in [*cells("darts", 1), *cells("nasbench201", 2)]:
        svg = drawn(arrows)
        width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())  # type: ignore[union-attr]
        for x, y, w, h in (map(float, box) for box in BOX.findall(svg)):
            assert x >= 0
            assert y >= 0
            assert x + w <= width
            assert y + h <= height


def test_spans_of_one_lane_do_not_overlap() -> None:
    spans = list(itertools.combinations(range(7), 2)) * 2
    numbers = lanes(spans)
    for (a, lane_a), (b, lane_b) in itertools.combinations(zip(spans, numbers, strict=True), 2):
        assert lane_a != lane_b or a[1] <= b[0] or b[1] <= a[0]
    assert all(lane != 0 or end - start == 1 for (start, end), lane in zip(spans, numbers, strict=True))
