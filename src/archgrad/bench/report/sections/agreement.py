"""Kendall's τ between benchmarks and between settings."""

from __future__ import annotations

import math

from archgrad.bench.report import tables
from archgrad.bench.report.figures import figure
from archgrad.bench.report.wording import range_text, setting_text
from archgrad.bench.statistics.agreement import Agreement
from archgrad.bench.statistics.analysis import Analysis
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.markup import Child, Markup, element, join
from archgrad.report.section import Section


def agreement(analysis: Analysis) -> Section | None:
    """Kendall's τ between benchmarks and between settings."""
    if len(analysis.cube.methods) < 2 or max(len(analysis.cube.benchmarks), len(analysis.cube.settings)) < 2:
        return None
    parts: list[Child] = [
        element(
            "p",
            "Kendall’s τ between the rankings of the methods: 1 the same, 0 unrelated, −1 reversed.",
            class_="lead",
        )
    ]
    for found, name, words in (
        (analysis.benchmarks, "tau_benchmarks", "Between benchmarks (by the mean over the settings)"),
        (analysis.settings, "tau_settings", "Between settings (within a benchmark, mean over the benchmarks)"),
    ):
        if len(found.names) < 2:
            continue
        parts.append(_tau(analysis, found, name, words))
    return Section("Agreement of rankings", join(*parts))


def _tau(analysis: Analysis, found: Agreement, name: str, words: str) -> Markup:
    size = len(found.names)
    halves = found.halves
    over = {"methods": "the methods as a sample of methods"}.get(found.over, f"the {found.over}")

    def cell(i: int, j: int) -> Tile:
        if i == j:
            if halves is None or math.isnan(halves[i, i]):
                return Tile("", None, "itself")
            title = f"{found.names[i]}: τ between two random halves of its {analysis.cube.replicates}"
            return Tile(f"({halves[i, i]:.2f})".replace("-", "−"), None, title)
        value = found.tau[i, j]
        text = "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")
        title = f"{found.names[i]} and {found.names[j]}: τ {text}{range_text(found.low[i, j], found.high[i, j])}"
        narrow = math.isnan(found.low[i, j]) or size > 12
        second = "" if narrow else f"{found.low[i, j]:.1f}…{found.high[i, j]:.1f}".replace("-", "−")
        return Tile(text, None if math.isnan(value) else float(value), title, second=second)

    cells = [[cell(i, j) for j in range(size)] for i in range(size)]
    width = 88.0 if size <= 10 else max(22.0, 860 / size)
    titles = [setting_text(analysis, n) for n in found.names] if found is analysis.settings else found.names
    drawing = heat_map(words, titles, found.names, cells, width=width, height=36, titles=titles)
    caption = f"{words}, mean {found.average:.2f}; small: {100 * (1 - analysis.alpha):g} % interval over {over}"
    same, different, if_same = found.half_averages
    if not math.isnan(same):
        caption += (
            f"; in brackets: two halves of one benchmark’s {analysis.cube.replicates}, mean {same:.2f}; halves of "
            f"different benchmarks: {different:.2f}, and {if_same:.2f} if their true rankings were the same"
        )
    return figure(caption.replace(" -", " −"), drawing, tables.agreement(found), name)
