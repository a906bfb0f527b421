"""The statistical sections of a campaign's report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from archgrad.bench.report import tables
from archgrad.bench.report.conclusions import conclusions
from archgrad.bench.report.figures import (
    HeatCell,
    Interval,
    bars,
    critical_difference,
    download,
    figure,
    heat_map,
    intervals,
    method_colours,
)
from archgrad.bench.report.wording import (
    bounds_text,
    deviation_text,
    number_text,
    p_text,
    range_text,
    searches_text,
    setting_text,
)
from archgrad.bench.statistics.agreement import Agreement
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import deviation
from archgrad.bench.statistics.pairwise import Pair
from archgrad.bench.statistics.power import ASSUMED
from archgrad.bench.statistics.ranks import Ranks, rank
from archgrad.bench.statistics.spread import COMPONENTS
from archgrad.report.markup import Child, Markup, details, element, join, table
from archgrad.report.palette import legend
from archgrad.report.section import Section, note

CELLS_SHOWN = 3000  # rows of the table of all cells; more are in its file only


def summary(analysis: Analysis) -> Section:
    """The numbers that matter, what they allow to say, and what a reader must know."""
    frame = analysis.results.frame
    best = analysis.ranks
    tiles = [
        _tile("Results", f"{int(frame.score.notna().sum()):,}", f"of {len(frame):,}; {_sizes(analysis)}"),
        _tile("Best average rank", best.methods[0], f"{best.average[0]:.2f}{range_text(best.low[0], best.high[0])}"),
    ]
    if (test := best.friedman) is not None:
        words = f"χ² {test.chi2:.2f} over {test.blocks} benchmarks"
        tiles.append(_tile("Do methods differ?", f"p {p_text(test.p)}", f"Friedman, {words}"))
    if not math.isnan(analysis.benchmarks.average):
        tiles.append(
            _tile("Agreement of benchmarks", f"τ {analysis.benchmarks.average:.2f}", "mean Kendall's τ of two rankings")
        )
    body = join(
        element("dl", tiles, class_="tiles"),
        element("h3", "What the results allow to say"),
        element("ul", [element("li", claim) for claim in conclusions(analysis)], class_="claims"),
        element("div", [note(remark) for remark in analysis.remarks], class_="remarks") if analysis.remarks else None,
    )
    return Section("Summary", body)


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
            f"{row.mean:.2f}",
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


def benchmarks(analysis: Analysis) -> Section:
    """Scores and ranks of the methods on every benchmark."""
    cube, blocks = analysis.cube, analysis.cube.blocks()
    place = rank(blocks)
    over = cube.replicates if cube.replicated else "settings"
    spread = deviation(cube.runs if cube.replicated else cube.cells, -1)
    k = len(cube.methods)
    cells = [
        [
            HeatCell(
                f"{blocks[b, m]:.2f}",
                _rank_shade(place[b, m], k),
                f"{method}, {benchmark}: {blocks[b, m]:.3f}{deviation_text(spread[m, b])}, rank {place[b, m]:g} of {k}",
                second=deviation_text(spread[m, b]).strip(),
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
            f"{row[4]:.2f}",
            "–" if math.isnan(row[5]) else f"{row[5]:.2f}",
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
                HeatCell(
                    f"{place[m, b, h]:g}" if wide >= 20 and not math.isnan(place[m, b, h]) else "",
                    _rank_shade(place[m, b, h], k),
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
        f"differs from its neighbours is a reversal by the recipe alone. {' · '.join(about)}",
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


def pairs(analysis: Analysis) -> Section | None:
    """Probability of improvement and the tests of every pair."""
    cube = analysis.cube
    if not analysis.pairs:
        return None
    drawing = heat_map(
        "Probability of improvement", cube.methods, cube.methods, _pair_cells(analysis), width=92, height=30
    )
    caption = (
        "Probability that the row beats the column. "
        f"* differs over the {cube.replicates}, † over the benchmarks (Holm, {analysis.alpha:g})"
    )
    rows = [_pair_row(pair) for pair in analysis.pairs]
    header = [
        "Pair", "Difference", "interval", "Won / tied / lost", "p benchmarks", f"p {cube.replicates}", "p cells",
        "P(better)", "interval", "Hedges g", "Cliff δ",
    ]  # fmt: skip
    words = element(
        "p",
        "All p are two-sided and Holm-corrected over the pairs; intervals are of each pair alone. p benchmarks: "
        "Wilcoxon over the benchmarks’ means. "
        f"p {cube.replicates}: stratified Welch test on these benchmarks. p cells: Wilcoxon over all benchmarks’ "
        "settings as if they were independent, which they are not since they share genotypes; it is there to show what "
        "counting them would pretend.",
        class_="lead",
    )
    whole = join(words, table(header, rows, numeric=range(1, len(header))))
    whole = whole if len(rows) <= 28 else details(f"All {len(rows)} pairs", whole)
    frame = tables.pairs(analysis)
    return Section("Pairs of methods", join(figure(caption, drawing, frame, "pairs"), whole))


def _pair_cells(analysis: Analysis) -> list[list[HeatCell]]:
    cube = analysis.cube
    index = {name: m for m, name in enumerate(cube.methods)}
    cells = [[HeatCell("", None, name) for _ in cube.methods] for name in cube.methods]
    for pair in analysis.pairs:
        i, j = index[pair.first], index[pair.second]
        stars = _stars(pair, analysis.alpha)
        for a, b, value, delta in (
            (i, j, pair.improvement, pair.difference),
            (j, i, 1 - pair.improvement, -pair.difference),
        ):
            title = (
                f"P({cube.methods[a]} beats {cube.methods[b]}) = {value:.3f}; mean difference {delta:+.2f} points; "
                f"Holm-corrected p: benchmarks {p_text(pair.p_benchmarks)}, {cube.replicates} {p_text(pair.p_searches)}"
            )
            cells[a][b] = HeatCell(f"{value:.2f}{stars}", 2 * value - 1, title, strong=bool(stars))
    return cells


def _pair_row(pair: Pair) -> list[Child]:
    return [
        f"{pair.first} – {pair.second}",
        f"{pair.difference:+.2f}",
        bounds_text(pair.low, pair.high, sign=True),
        f"{pair.wins} / {pair.ties} / {pair.losses}",
        p_text(pair.p_benchmarks),
        p_text(pair.p_searches),
        p_text(pair.p_cells),
        f"{pair.improvement:.2f}",
        bounds_text(pair.improvement_low, pair.improvement_high),
        number_text(pair.hedges_g, 2),
        f"{pair.cliff_delta:+.2f}",
    ]


def aggregates(analysis: Analysis) -> Section:
    """Interquartile mean and its relatives, with intervals."""
    colours = method_colours(analysis.cube.methods)
    found = tables.aggregates(analysis)
    panels = []
    order = [analysis.ranks.methods.index(m) for m in analysis.cube.methods]
    ranks_ = (analysis.ranks.average[order], analysis.ranks.low[order], analysis.ranks.high[order])
    kinds = [("Average rank", "by the mean over the settings; low is good", *ranks_)]
    kinds += [
        (a.name, a.meaning + ("; low is good" if a.lower_is_better else ""), a.values, a.low, a.high)
        for a in analysis.aggregates
    ]
    for name, meaning, values, low, high in kinds:
        entries = [
            Interval(method, float(values[m]), float(low[m]), float(high[m]), colours[method])
            for m, method in enumerate(analysis.cube.methods)
        ]
        data = tables.ranks(analysis) if name == "Average rank" else pd.DataFrame(found[found["aggregate"] == name])
        file = name.lower().replace(" ", "_")
        caption = join(element("b", name), meaning)
        panels.append(figure(caption, intervals(f"{name} per method", entries), data, file))
    lead = element(
        "p",
        f"{100 * (1 - analysis.alpha):g} % bootstrap intervals, {analysis.resamples:,} resamples of the "
        f"{analysis.intervals_over}{_drawn(analysis)}.",
        class_="lead",
    )
    return Section("Aggregates", join(lead, element("div", panels, class_="panels aligned")))


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

    def cell(i: int, j: int) -> HeatCell:
        if i == j:
            if halves is None or math.isnan(halves[i, i]):
                return HeatCell("", None, "itself")
            title = f"{found.names[i]}: τ between two random halves of its {analysis.cube.replicates}"
            return HeatCell(f"({halves[i, i]:.2f})".replace("-", "−"), None, title)
        value = found.tau[i, j]
        text = "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")
        title = f"{found.names[i]} and {found.names[j]}: τ {text}{range_text(found.low[i, j], found.high[i, j])}"
        narrow = math.isnan(found.low[i, j]) or size > 12
        second = "" if narrow else f"{found.low[i, j]:.1f}…{found.high[i, j]:.1f}".replace("-", "−")
        return HeatCell(text, None if math.isnan(value) else float(value), title, second=second)

    cells = [[cell(i, j) for j in range(size)] for i in range(size)]
    width = 88.0 if size <= 10 else max(22.0, 860 / size)
    titles = [setting_text(analysis, n) for n in found.names] if found is analysis.settings else found.names
    drawing = heat_map(words, titles, found.names, cells, width=width, height=36, titles=titles)
    caption = f"{words}, mean {found.average:.2f}; small: {100 * (1 - analysis.alpha):g} % interval over {over}"
    same, different = found.half_averages
    if not math.isnan(same):
        caption += (
            f"; in brackets: two halves of one benchmark’s {analysis.cube.replicates}, mean {same:.2f}, to be compared "
            f"with the {different:.2f} between halves of different benchmarks"
        )
    return figure(caption.replace(" -", " −"), drawing, tables.agreement(found), name)


def spread(analysis: Analysis) -> Section | None:
    """What makes scores differ."""
    found = analysis.spread
    if len(analysis.cube.methods) < 2 or len(analysis.cube.settings) < 2:
        return None
    data = tables.spread(analysis)
    pairs_ = [("methods’ means", "part-0"), ("settings’ means", "part-2")]
    deviations = bars(
        "Deviation of methods and settings",
        found.benchmarks,
        np.stack([found.method_deviation, found.setting_deviation], 1).tolist(),
        pairs_,
    )
    present = [c for c in range(len(COMPONENTS)) if not np.isnan(found.components[:, c]).all()]
    series = [(COMPONENTS[c], f"part-{c}") for c in present]
    total = np.sqrt(np.nansum(found.components, axis=1))
    shares = bars(
        "Shares of variance",
        found.benchmarks,
        found.shares[:, present].tolist(),
        series,
        stacked=True,
        shown=lambda share: f"{100 * share:.0f} %",
        remarks=[f"{value:.2f}" for value in total],
    )
    figures = [
        element(
            "div",
            figure("Deviation over methods and over settings, points", deviations, data, "spread"),
            legend(dict(pairs_)),
        ),
        element(
            "div",
            figure("Shares of the variance, right: whole deviation, points", shares, data, "variance_components"),
            legend(dict(series)),
        ),
    ]
    hidden = (
        "Too little was repeated: the noise of a search is part of “method”, that of a training of “method × setting”."
        if len(present) < len(COMPONENTS)
        else "search: what a search’s settings share; rest: what they do not."
    )
    return Section(
        "Spread",
        join(element("p", hidden, class_="lead"), element("div", figures, class_="panels wide")),
    )


def power(analysis: Analysis) -> Section | None:
    """Searches needed to tell the two best apart."""
    if not analysis.power:
        return None
    measured = any(not math.isnan(top.deviation) for top in analysis.power)
    rows = []
    for top in analysis.power:
        row: list[Child] = [
            element("strong", "all benchmarks") if top.scope == "all" else top.scope,
            f"{top.first} – {top.second}",
            f"{top.difference:.3f}",
        ]
        row += (
            [number_text(top.deviation, 2), top.searches, p_text(top.p), searches_text(top.needed)] if measured else []
        )
        row += [searches_text(value) for value in top.assumed]
        rows.append(row)
    header = ["Benchmark", "Two best", "Difference"]
    header += ["Deviation", "Searches", "p", "Needed"] if measured else []
    header += [f"if ± {value:g}" for value in ASSUMED]
    lead = element(
        "p",
        "How many searches of each method (on each benchmark, three or more) would find the measured difference of the "
        f"two best with a probability of 80 % at level {analysis.alpha:g} (two-sided t-test of these two methods "
        "alone, not corrected for others): for the measured deviation of a search, and if it were 0.1 … 1 points. The "
        "measured difference of the two best tends to be too large, so these numbers are rather too small.",
        class_="lead",
    )
    frame = tables.power(analysis)
    body = join(lead, element("p", download(frame, "power")), table(header, rows, numeric=range(2, len(header))))
    return Section("Power", body)


def _rows(frame: pd.DataFrame) -> Iterator[Any]:
    return frame.itertuples()


def _tile(name: str, value: str, remark: str) -> Markup:
    return element(
        "div", element("dt", name), element("dd", value, class_="value"), element("dd", remark, class_="remark")
    )


def _sizes(analysis: Analysis) -> str:
    cube = analysis.everything
    number = cube.present.sum(-1)
    number = number[number > 0]
    each = f"{number.min()}" if number.min() == number.max() else f"{number.min()}–{number.max()}"
    what = cube.replicates if number.max() > 1 else {"searches": "search", "trainings": "training"}[cube.replicates]
    parts = [_many(len(names), what_) for names, what_ in (
        (cube.methods, "method"), (cube.benchmarks, "benchmark"), (cube.settings, "setting"))]  # fmt: skip
    return f"{', '.join(parts)}, {each} {what} each"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _test(found: Ranks) -> str:
    if found.friedman is None:
        return "no test: it needs three methods, two benchmarks and different scores"
    return f"Friedman p {p_text(found.friedman.p)}, Nemenyi critical difference {found.critical_difference:.2f}"


def _drawn(analysis: Analysis) -> str:
    if analysis.intervals_over == "benchmarks":
        return ", since too little was repeated: where would a number lie had other such benchmarks been chosen"
    return (
        " within every method and benchmark, with all their settings: where the number lies that is to be expected of "
        "as many searches of these benchmarks"
    )


def _rank_shade(place: float, methods: int) -> float | None:
    return None if math.isnan(place) else 0.92 * (methods - place) / max(methods - 1, 1) + 0.04


def _stars(pair: Pair, alpha: float) -> str:
    return "*" * (pair.p_searches < alpha) + "†" * (pair.p_benchmarks < alpha)


SECTIONS: tuple[Callable[[Analysis], Section | None], ...] = (
    summary,
    ranks,
    benchmarks,
    settings,
    agreement,
    pairs,
    aggregates,
    spread,
    power,
)
