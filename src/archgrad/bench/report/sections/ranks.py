"""Average ranks, critical differences, their table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from archgrad.bench.report import tables
from archgrad.bench.report.figures import figure, method_colours
from archgrad.bench.report.wording import bounds_text, p_text, score_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.ranks import Ranks
from archgrad.figures.markup import Child, element, join, table
from archgrad.figures.ranks import critical_difference
from archgrad.report.section import Section


def ranks(analysis: Analysis) -> Section | None:
    """Average ranks, critical differences, their table."""
    if len(analysis.cube.methods) < 2:
        return None
    frame = tables.ranks(analysis)
    colours = method_colours(analysis.cube.methods)
    drawn: list[Child] = []
    for found, words in (
        (analysis.ranks, "by the mean over the settings"),
        (analysis.ranks_of_best, "by the best setting"),
    ):
        if len(analysis.cube.settings) < 2 and found is analysis.ranks_of_best:
            continue
        caption = f"Average ranks {words} · {_test(found)}"
        told = ", ".join(f"{m} {v:.2f}" for m, v in zip(found.methods, found.average, strict=True))
        average = found.average.tolist()
        drawing = critical_difference(
            f"{caption}: {told}", found.methods, average, found.groups, found.critical_difference, colours
        )
        drawn.append(figure(caption, drawing, frame, "average_ranks"))
    rows = [
        [
            element("span", row.method, class_="nowrap"),
            f"{row.rank:.2f}",
            bounds_text(row.rank_low, row.rank_high),
            f"{row.rank_of_best:.2f}",
            bounds_text(row.rank_of_best_low, row.rank_of_best_high),
            score_text(analysis, row.mean),
        ]
        for row in _rows(frame)
    ]
    header = ["Method", "Rank by mean", "interval", "Rank by best", "interval", "Mean score"]
    lead = element(
        "p",
        "Methods that a bar joins are not told apart by Nemenyi's test. Intervals: bootstrap over the "
        f"{analysis.intervals_over}, {100 * (1 - analysis.alpha):g} %.",
        class_="lead",
    )
    return Section("Ranks", join(lead, drawn, table(header, rows, numeric=range(1, 6))))


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    return frame.itertuples()


def _test(found: Ranks) -> str:
    if found.friedman is None:
        return "no test: it needs three methods, two benchmarks and different scores"
    return f"Friedman p {p_text(found.friedman.p)}, Nemenyi critical difference {found.critical_difference:.2f}"
