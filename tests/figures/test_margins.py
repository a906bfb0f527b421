"""No text of any figure leaves its picture, whatever the numbers and names are."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
import torch

from archgrad import spaces
from archgrad.figures.axes import BOLD_LETTER, LETTER, TICK_LETTER
from archgrad.figures.bars import bars
from archgrad.figures.cell import Arrow, draw
from archgrad.figures.cell_rows import draw_rows
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.intervals import Interval, intervals
from archgrad.figures.lines import Series, line_chart
from archgrad.figures.numbers import share
from archgrad.report.comparison import strip_plot
from archgrad.report.measure import Measure
from archgrad.report.rundata import Training
from archgrad.standing import Standing
from archgrad.tasks import Reading

NAMES = ["pgd-7, restarts 5", "fgsm", "autoattack", "carlini_wagner", "square", "deepfool"]


def chart(size: tuple[int, int], length: int, key: bool) -> str:
    values = [0.1 + i / (8 * length) for i in range(length)]
    lines = [Series(name, values, "series-a") for name in NAMES]
    return line_chart("chart", range(1, length + 1), lines, shown=share, size=size, key=key)


def strip(found: float, random: tuple[float, ...], width: float) -> str:
    scores = {"found": found} | {f"random-{i:02}": score for i, score in enumerate(random)}
    trained = [Training(Path(name), {}, [], {"test_accuracy": s}) for name, s in scores.items()]
    return strip_plot(trained, Standing((found,), random), Measure(Reading(), "accuracy"), width)


def cell(picture: Callable[..., str], space: str, names: dict[str, str] | None = None) -> str:
    known = spaces.get(space)
    genotype = known.random(torch.Generator().manual_seed(3))
    name, group = next(iter(known.groups.items()))
    arrows = [
        Arrow(edge.source, edge.target, (names or {}).get(kept, kept), "op-0")
        for edge, all_kept in zip(group.edges, genotype.choices[name], strict=True)
        for kept in all_kept
    ]
    states = range(max(a.target for a in arrows) + 1)
    inputs = 2 if space == "darts" else 1
    return picture("cell", states, inputs, states[inputs:] if inputs > 1 else states[-1:], arrows)


LONG = dict.fromkeys(spaces.get("darts").groups["normal"].operations, "an_operation_with_a_very_long_name_indeed")
FIGURES: dict[str, Callable[[], str]] = {
    **{
        f"lines {size} {length} {key}": lambda size=size, length=length, key=key: chart(size, length, key)
        for size in ((400, 220), (180, 112), (940, 260))
        for length in (1, 2, 10, 1000, 20_000)
        for key in (False, True)
        if not (key and size[0] < 300)
    },
    **{
        f"strip {width} {found}": lambda width=width, found=found: strip(found, (0.8125, *[0.99] * 12), width)
        for width in (340, 1040)
        for found in (1.0, 0.9, 0.8125)
    },
    **{
        f"{picture.__name__} {space} {names is not None}": lambda picture=picture, space=space, names=names: cell(
            picture, space, names
        )
        for picture in (draw, draw_rows)
        for space in ("nasbench201", "darts")
        for names in (None, LONG)
    },
    "bars": lambda: bars("bars", NAMES, [[0.2, 1234.5]] * 6, [("a", "series-a"), ("b", "series-b")]),
    "intervals": lambda: intervals("intervals", [Interval(name, 0.5, 0.1, 12345.0, "series-a") for name in NAMES]),
    "heat map": lambda: heat_map("map", NAMES, NAMES, [[Tile("12.3", 0.5, "")] * 6] * 6, width=52),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_lies_within_its_picture(name: str) -> None:
    drawing = FIGURES[name]()
    width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing).groups())  # type: ignore[union-attr]
    texts = re.findall(r'<text x="([-\d.]+)" y="([-\d.]+)"(?: class="([^"]*)")?>([^<]*)</text>', drawing)
    assert texts or name == "none"
    for x, y, kind, text in texts:
        letter = TICK_LETTER if "tick" in kind else BOLD_LETTER if text.startswith("found ") else LETTER
        size = letter * len(unescape(text))
        start = float(x) - (size if "end" in kind else size / 2 if "middle" in kind else 0)
        assert start >= -1, f"{text} begins left of the picture"
        assert start + size <= width + 1, f"{text} ends right of the picture"
        assert 9 <= float(y) <= height, f"{text} lies above or below the picture"


def test_a_cell_in_rows_names_every_edge_once_and_labels_keep_apart() -> None:
    drawing = cell(draw_rows, "darts")
    titles = re.findall(r"<title>(\d) → (\d): (\w+)</title>", drawing)
    told = re.search(r'aria-label="cell: ([^"]*)"', drawing)[1]  # type: ignore[index]
    assert sorted(f"{a} to {b} {operation}" for a, b, operation in titles) == sorted(told.split(", "))
    rows = [float(y) for y in re.findall(r'<rect x="[^"]*" y="([\d.]+)" width="[^"]*" height="24"', drawing)]
    assert len(rows) == len(titles) == 8
    assert all(b - a >= 24 for a, b in zip(sorted(rows), sorted(rows)[1:], strict=False))
