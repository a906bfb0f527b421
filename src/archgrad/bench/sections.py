"""The statistical sections of a campaign's report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from archgrad.bench import tables
from archgrad.bench.figures import (
    BASELINES,
    Cell,
    Interval,
    bars,
    critical_difference,
    download,
    figure,
    heat_map,
    intervals,
    method_colours,
)
from archgrad.bench.statistics.agreement import Agreement
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import deviation, listed
from archgrad.bench.statistics.pairwise import Pair
from archgrad.bench.statistics.power import ASSUMED, TopTwo
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
        _tile("Units", f"{int(frame.score.notna().sum()):,}", f"of {len(frame):,}; {_sizes(analysis)}"),
        _tile("Best average rank", best.methods[0], f"{best.average[0]:.2f}{_range(best.low[0], best.high[0])}"),
    ]
    if (test := best.friedman) is not None:
        words = f"χ² {test.chi2:.2f} over {test.blocks} benchmarks"
        tiles.append(_tile("Do methods differ?", f"p {_p(test.p)}", f"Friedman, {words}"))
    if not math.isnan(analysis.benchmarks.average):
        tiles.append(
            _tile("Agreement of benchmarks", f"τ {analysis.benchmarks.average:.2f}", "mean Kendall's τ of two rankings")
        )
    body = join(
        element("dl", tiles, class_="tiles"),
        element("h3", "What the results allow to say"),
        element("ul", [element("li", claim) for claim in claims(analysis)], class_="claims"),
        element("div", [note(remark) for remark in analysis.remarks], class_="remarks") if analysis.remarks else None,
    )
    return Section("Summary", body)


def claims(analysis: Analysis) -> list[str]:
    """The conclusions, each with its test; what cannot be concluded is said as well."""
    cube, result = analysis.cube, []
    if len(cube.methods) < 2:
        return ["There is a single method: nothing is compared."]
    significant = {
        name: [pair for pair in analysis.pairs if getattr(pair, name) < analysis.alpha]
        for name in ("p_searches", "p_benchmarks")
    }
    of = len(analysis.pairs)
    level = f"{analysis.alpha:g}"
    unknown = sum(math.isnan(pair.p_searches) for pair in analysis.pairs)
    if unknown < of:
        found = significant["p_searches"]
        result.append(
            f"On these benchmarks, with the noise of {cube.replicates} taken into account, {len(found)} of "
            f"{of - unknown} pairs of methods differ (stratified Welch test, Holm, {level}){_pairs_listed(found)}."
        )
        against = [_against(analysis, baseline) for baseline in BASELINES if baseline in cube.methods]
        result += [sentence for sentence in against if sentence is not None]
    if unknown:
        result.append(
            f"Whether a difference is more than the noise of {cube.replicates} cannot be told for {unknown} of {of} "
            "pairs: they lack repetitions, or all repetitions are equal."
        )
    found = significant["p_benchmarks"]
    can = analysis.smallest_p < analysis.alpha
    text = f"Whether it would hold on other benchmarks: {len(found)} of {of} pairs differ (Wilcoxon over "
    text += f"{len(cube.benchmarks)} benchmarks, Holm, {level}){_pairs_listed(found)}."
    if not can:
        text += (
            f" With so few benchmarks this test could not have shown any difference: its smallest corrected p is "
            f"{analysis.smallest_p:.3f}."
        )
    result.append(text)
    if (reversed_ := _reversal(analysis.benchmarks)) is not None:
        result.append(reversed_)
    if len(cube.settings) > 1 and len(cube.benchmarks) > 0:
        spread = analysis.spread
        larger = int((spread.setting_deviation > spread.method_deviation).sum())
        result.append(
            f"On {larger} of {len(cube.benchmarks)} benchmarks the training setting matters more than the method "
            f"(deviation of the settings' means {_span(spread.setting_deviation)} points, of the methods' means "
            f"{_span(spread.method_deviation)})."
        )
        most = float(analysis.best_settings.max())
        best = [_setting(analysis, cube.settings[h]) for h in np.flatnonzero(analysis.best_settings == most)]
        start = f"Setting {best[0]} is" if len(best) == 1 else f"Settings {listed(best)} are each"
        result.append(f"{start} the best one in {_number(most)} of {analysis.best_of} cases.")
    if analysis.power:
        result.append(_power_claim(analysis, analysis.power[0]))
    return result


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
            _bounds(row.rank_low, row.rank_high),
            f"{row.rank_of_best:.2f}",
            _bounds(row.rank_of_best_low, row.rank_of_best_high),
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
            Cell(
                f"{blocks[b, m]:.2f}",
                _rank_shade(place[b, m], k),
                f"{method}, {benchmark}: {blocks[b, m]:.3f}{_plus_minus(spread[m, b])}, rank {place[b, m]:g} of {k}",
                second=_plus_minus(spread[m, b]).strip(),
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
            _setting(analysis, row[2]),
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
                Cell(
                    f"{place[m, b, h]:g}" if wide >= 20 and not math.isnan(place[m, b, h]) else "",
                    _rank_shade(place[m, b, h], k),
                    f"{method}, {benchmark}, setting {_setting(analysis, setting)}: {cube.cells[m, b, h]:.2f}, "
                    f"rank {place[m, b, h]:g}",
                )
                for h, setting in enumerate(cube.settings)
            ]
            for m, method in enumerate(cube.methods)
        ]
        names = [setting if wide >= 20 and len(setting) * 7 <= wide else "" for setting in cube.settings]
        titles = [_setting(analysis, setting) for setting in cube.settings]
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
        [_setting(analysis, name) for name in cube.settings],
        [[float(value)] for value in analysis.best_settings],
        [("best", "part-0")],
        shown=lambda v: f"{v:g}",
        remarks=[_number(v) for v in analysis.best_settings],
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
    index = {name: m for m, name in enumerate(cube.methods)}
    k = len(cube.methods)
    cells = [[Cell("", None, f"{name}") for _ in range(k)] for name in cube.methods]
    for pair in analysis.pairs:
        i, j = index[pair.first], index[pair.second]
        stars = _stars(pair, analysis.alpha)
        for a, b, value, delta in (
            (i, j, pair.improvement, pair.difference),
            (j, i, 1 - pair.improvement, -pair.difference),
        ):
            title = (
                f"P({cube.methods[a]} beats {cube.methods[b]}) = {value:.3f}; mean difference {delta:+.2f} points; "
                f"Holm-corrected p: benchmarks {_p(pair.p_benchmarks)}, {cube.replicates} {_p(pair.p_searches)}"
            )
            cells[a][b] = Cell(f"{value:.2f}{stars}", 2 * value - 1, title, strong=bool(stars))
    drawing = heat_map("Probability of improvement", cube.methods, cube.methods, cells, width=92, height=30)
    caption = (
        "Probability that the row beats the column. "
        f"* differs over the {cube.replicates}, † over the benchmarks (Holm, {analysis.alpha:g})"
    )
    rows = [
        [
            f"{pair.first} – {pair.second}",
            f"{pair.difference:+.2f}",
            _bounds(pair.low, pair.high, sign=True),
            f"{pair.wins} / {pair.ties} / {pair.losses}",
            _p(pair.p_benchmarks),
            _p(pair.p_searches),
            _p(pair.p_cells),
            f"{pair.improvement:.2f}",
            _bounds(pair.improvement_low, pair.improvement_high),
            _number(pair.hedges_g, 2),
            f"{pair.cliff_delta:+.2f}",
        ]
        for pair in analysis.pairs
    ]
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

    def cell(i: int, j: int) -> Cell:
        if i == j:
            if halves is None or math.isnan(halves[i, i]):
                return Cell("", None, "itself")
            title = f"{found.names[i]}: τ between two random halves of its {analysis.cube.replicates}"
            return Cell(f"({halves[i, i]:.2f})".replace("-", "−"), None, title)
        value = found.tau[i, j]
        text = "–" if math.isnan(value) else f"{value:.2f}".replace("-", "−")
        title = f"{found.names[i]} and {found.names[j]}: τ {text}{_range(found.low[i, j], found.high[i, j])}"
        narrow = math.isnan(found.low[i, j]) or size > 12
        second = "" if narrow else f"{found.low[i, j]:.1f}…{found.high[i, j]:.1f}".replace("-", "−")
        return Cell(text, None if math.isnan(value) else float(value), title, second=second)

    cells = [[cell(i, j) for j in range(size)] for i in range(size)]
    width = 88.0 if size <= 10 else max(22.0, 860 / size)
    titles = [_setting(analysis, n) for n in found.names] if found is analysis.settings else found.names
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
        row += [_number(top.deviation, 2), top.searches, _p(top.p), _searches(top.needed)] if measured else []
        row += [_searches(value) for value in top.assumed]
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


def _setting(analysis: Analysis, name: str) -> str:
    about = analysis.results.settings.get(name)
    return f"{name} ({about})" if about else name


def _test(found: Ranks) -> str:
    if found.friedman is None:
        return "no test: it needs three methods, two benchmarks and different scores"
    return f"Friedman p {_p(found.friedman.p)}, Nemenyi critical difference {found.critical_difference:.2f}"


def _pairs_listed(found: Sequence[Pair]) -> str:
    if not found:
        return ""
    names = [f"{p.first} > {p.second}" if p.difference > 0 else f"{p.second} > {p.first}" for p in found]
    return f": {listed(names)}"


def _against(analysis: Analysis, baseline: str) -> str | None:
    """What a search is worth: which methods are told apart from a random baseline, and in which direction."""
    better: list[str] = []
    worse: list[str] = []
    of = unknown = 0
    for pair in analysis.pairs:
        first, second, difference = pair.first, pair.second, pair.difference
        if first == baseline:
            first, second, difference = second, first, -difference
        if second != baseline or first in BASELINES:
            continue
        of += 1
        unknown += math.isnan(pair.p_searches)
        if pair.p_searches < analysis.alpha:
            (better if difference > 0 else worse).append(first)
    if unknown == of:
        return None
    told = [f"{len(names)} {word} ({listed(names)})" for word, names in (("better", better), ("worse", worse)) if names]
    rest = of - len(better) - len(worse) - unknown
    if rest:
        told.append(f"{rest} not told apart from it")
    if unknown:
        told.append(f"{unknown} unknown")
    return f"Of {of} methods, compared with {baseline}: {', '.join(told)}."


def _reversal(found: Agreement) -> str | None:
    extremes = found.extremes
    if extremes is None or len(found.names) < 2:
        return None
    (i, j), _ = extremes
    negative = int((found.tau[np.triu_indices(len(found.names), 1)] < 0).sum())
    of = len(found.names) * (len(found.names) - 1) // 2
    text = (
        f"Two benchmarks agree on the ranking with τ = {found.average:.2f} on average; the least alike are "
        f"{found.names[i]} and {found.names[j]} (τ {found.tau[i, j]:.2f}{_range(found.low[i, j], found.high[i, j])}), "
        f"and {negative} of {of} pairs of benchmarks order more pairs of methods the other way round than alike."
    )
    same, different = found.half_averages
    if not math.isnan(same) and not math.isnan(different):
        text += (
            f" How much of it is noise: with half of the searches each, two benchmarks agree with τ = {different:.2f}, "
            f"and a benchmark with itself with τ = {same:.2f}."
        )
    return text.replace("τ -", "τ −").replace("= -", "= −")


def _power_claim(analysis: Analysis, top: TopTwo) -> str:
    where = "over all benchmarks" if top.scope == "all" else f"on {top.scope}"
    start = f"The two best {where}, {top.first} and {top.second}, are {top.difference:.2f} points apart"
    if math.isnan(top.needed):
        return f"{start}; how many searches would be needed to tell them apart depends on a noise that is not known."
    if math.isinf(top.needed):
        return f"{start}; no affordable number of searches would tell them apart."
    return (
        f"{start}; to tell them apart (80 % power) takes {top.needed:.0f} searches of each"
        f"{' on each benchmark' if top.scope == 'all' else ''}, there are {top.searches}."
    )


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


def _plus_minus(value: float) -> str:
    return "" if math.isnan(value) else f" ± {value:.2f}"


def _range(low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f", interval {low:.2f} to {high:.2f}".replace("-", "−")


def _bounds(low: float, high: float, *, sign: bool = False) -> str:
    if math.isnan(low) or math.isnan(high):
        return "–"
    return (f"{low:+.2f} … {high:+.2f}" if sign else f"{low:.2f} … {high:.2f}").replace("-", "−")


def _span(values: Float[np.ndarray, " n"]) -> str:
    known = values[~np.isnan(values)]
    return f"{known.min():.2f}–{known.max():.2f}" if len(known) else "unknown"


def _p(value: float) -> str:
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _number(value: float, digits: int | None = None) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.4g}" if digits is None else f"{value:.{digits}f}".replace("-", "−")


def _searches(value: float) -> str:
    return "–" if math.isnan(value) else "> 100,000" if math.isinf(value) else f"{value:,.0f}"


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
