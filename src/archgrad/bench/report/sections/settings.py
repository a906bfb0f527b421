"""Ranks under every training setting; how often each setting is best."""

from __future__ import annotations

import math

import numpy as np

from archgrad.bench.report import tables
from archgrad.bench.report.figures import figure
from archgrad.bench.report.sections.benchmarks import rank_shade
from archgrad.bench.report.wording import number_text, setting_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.ranks import rank
from archgrad.figures.bars import bars
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.markup import element, join
from archgrad.report.section import Section


def settings(analysis: Analysis) -> Section | None:
    """Ranks of every method on every benchmark under every setting; how often each setting is best."""
    cube = analysis.cube
    if len(cube.settings) < 2 or len(cube.methods) < 2:
        return None
    place = np.moveaxis(rank(np.moveaxis(cube.cells, 0, -1)), -1, 0)
    k, panels = len(cube.methods), []
    wide = 30.0 if len(cube.settings) <= 10 else max(7.0, 310 / len(cube.settings))
    data = tables.cells(analysis)
    for b, benchmark in enumerate(cube.benchmarks):
        cells = [
            [
                Tile(
                    f"{place[m, b, h]:g}" if wide >= 20 and not math.isnan(place[m, b, h]) else "",
                    rank_shade(place[m, b, h], k),
                    f"{method}, {benchmark}, setting {setting_text(analysis, setting)}: {cube.cells[m, b, h]:.2f}, "
                    f"rank {place[m, b, h]:g}",
                )
                for h, setting in enumerate(cube.settings)
            ]
            for m, method in enumerate(cube.methods)
        ]
        names = [setting if wide >= 20 and len(setting) * 7 <= wide else "" for setting in cube.settings]
        titles = [setting_text(analysis, setting) for setting in cube.settings]
        drawing = heat_map(f"Ranks on {benchmark}", cube.methods, names, cells, width=wide, height=22, titles=titles)
        panels.append(figure(benchmark, drawing, data[data.benchmark == benchmark], f"ranks_{benchmark}"))
    about = [f"{s}: {analysis.results.settings[s]}" for s in cube.settings if s in analysis.results.settings]
    lead = element(
        "p",
        "The rank of every method (rows, best average first) under every training setting (columns). A column that "
        f"differs from its neighbours shows a reversal caused by the recipe alone. {' · '.join(about)}",
        class_="lead",
    )
    counted = bars(
        "How often each setting is best",
        [setting_text(analysis, name) for name in cube.settings],
        [[float(value)] for value in analysis.best_settings],
        [("best", "part-0")],
        shown=lambda v: f"{v:g}",
        remarks=[number_text(v) for v in analysis.best_settings],
    )
    best = figure(
        f"How often each setting is the best of a method on a benchmark, of {analysis.best_of}",
        counted,
        tables.best_settings(analysis),
        "best_settings",
    )
    return Section("Settings", join(lead, element("div", panels, class_="panels"), best))
