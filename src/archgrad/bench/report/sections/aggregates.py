"""Interquartile mean and its relatives, with intervals."""

from __future__ import annotations

import pandas as pd

from archgrad.bench.report import tables
from archgrad.bench.report.figures import figure, method_colours
from archgrad.bench.statistics.analysis import Analysis
from archgrad.figures.intervals import Interval, intervals
from archgrad.figures.markup import element, join
from archgrad.report.section import Section


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


def _drawn(analysis: Analysis) -> str:
    if analysis.intervals_over == "benchmarks":
        return ", since too little was repeated: where the number would lie with other benchmarks of this kind"
    return (
        " within every method and benchmark, with all their settings: where the number lies that is to be expected of "
        "as many searches of these benchmarks"
    )
