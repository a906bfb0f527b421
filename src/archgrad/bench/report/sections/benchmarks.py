"""Scores and ranks of the methods on every benchmark."""

from __future__ import annotations

import math

from archgrad.bench.report import tables
from archgrad.bench.report.figures import download, figure
from archgrad.bench.report.wording import deviation_text, score_text, setting_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import deviation
from archgrad.bench.statistics.ranks import rank
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.markup import details, element, join, table
from archgrad.report.section import Section

CELLS_SHOWN = 3000  # rows of the table of all cells; more are in its file only


def benchmarks(analysis: Analysis) -> Section:
    """Scores and ranks of the methods on every benchmark."""
    cube, blocks = analysis.cube, analysis.cube.blocks()
    place, scores = rank(blocks), cube.shown(blocks)
    over = cube.replicates if cube.replicated else "settings"
    spread = deviation(cube.runs if cube.replicated else cube.cells, -1)
    k = len(cube.methods)
    cells = [
        [
            Tile(
                score_text(analysis, scores[b, m]),
                rank_shade(place[b, m], k),
                f"{method}, {benchmark}: {scores[b, m]:.3f}{deviation_text(analysis, spread[m, b])}, "
                f"rank {place[b, m]:g} of {k}",
                second=deviation_text(analysis, spread[m, b]).strip(),
                strong=bool(place[b, m] == place[b].min()),
            )
            for b, benchmark in enumerate(cube.benchmarks)
        ]
        for m, method in enumerate(cube.methods)
    ]
    drawing = heat_map("Scores per benchmark", cube.methods, cube.benchmarks, cells, width=100, height=40)
    caption = (
        f"{analysis.results.primary}: mean over the settings, ± deviation over the {over}; "
        "the stronger the colour, the better the rank"
    )
    data = tables.cells(analysis)
    shown = data.head(CELLS_SHOWN)
    rows = [
        [
            row[0],
            row[1],
            setting_text(analysis, row[2]),
            score_text(analysis, row[4]),
            "–" if math.isnan(row[5]) else score_text(analysis, row[5]),
            row[6],
            f"{row[7]:g}",
        ]
        for row in shown.itertuples(index=False)
    ]
    header = ["Method", "Benchmark", "Setting", "Mean", "Std", cube.replicates.capitalize(), "Rank"]
    more = f" (the first {CELLS_SHOWN:,} of {len(data):,}; all are in the file)" if len(data) > len(shown) else ""
    everything = details(
        f"Every benchmark and setting as a table{more}",
        element("p", download(data, "cells")),
        table(header, rows, numeric=(3, 4, 5, 6)),
    )
    return Section("Benchmarks", join(figure(caption, drawing, tables.benchmarks(analysis), "benchmarks"), everything))


def rank_shade(place: float, methods: int) -> float | None:
    return None if math.isnan(place) else 0.92 * (methods - place) / max(methods - 1, 1) + 0.04
