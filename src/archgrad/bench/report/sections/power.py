"""Searches needed to tell the two best apart."""

from __future__ import annotations

import math

from archgrad.bench.report import tables
from archgrad.bench.report.figures import download
from archgrad.bench.report.wording import deviation_text, p_text, score_text, searches_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.power_analysis import ASSUMED
from archgrad.figures.markup import Child, element, join, table
from archgrad.report.section import Section


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
            f"{top.difference:.3f}" if analysis.results.percent else score_text(analysis, top.difference),
        ]
        if measured:
            deviation = deviation_text(analysis, top.deviation).removeprefix(" ± ") or "–"
            row += [deviation, top.searches, p_text(top.p), searches_text(top.needed)]
        row += [searches_text(value) for value in top.assumed] if analysis.results.percent else []
        rows.append(row)
    header = ["Benchmark", "Two best", "Difference"]
    header += ["Deviation", "Searches", "p", "Needed"] if measured else []
    header += [f"if ± {value:g}" for value in ASSUMED] if analysis.results.percent else []
    assumed = ", and if it were 0.1 … 1 points" if analysis.results.percent else ""
    lead = element(
        "p",
        "How many searches of each method (on each benchmark, three or more) would find the measured difference of the "
        f"two best with a probability of 80 % at level {analysis.alpha:g} (two-sided t-test of these two methods "
        f"alone, not corrected for others): for the measured deviation of a search{assumed}. The "
        "measured difference of the two best tends to be too large, so these numbers are rather too small.",
        class_="lead",
    )
    frame = tables.power(analysis)
    body = join(lead, element("p", download(frame, "power")), table(header, rows, numeric=range(2, len(header))))
    return Section("Power", body)
