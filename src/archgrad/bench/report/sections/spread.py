"""What makes scores differ."""

from __future__ import annotations

import numpy as np

from archgrad.bench.report import tables
from archgrad.bench.report.figures import figure
from archgrad.bench.report.wording import score_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.variation import COMPONENTS
from archgrad.figures.bars import bars
from archgrad.figures.markup import element, join
from archgrad.figures.palette import legend
from archgrad.report.section import Section


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
        remarks=[score_text(analysis, value) for value in total],
    )
    unit = ", points" if analysis.results.percent else ""
    figures = [
        element(
            "div",
            figure(f"Deviation over methods and over settings{unit}", deviations, data, "spread"),
            legend(dict(pairs_)),
        ),
        element(
            "div",
            figure(f"Shares of the variance, right: whole deviation{unit}", shares, data, "variance_components"),
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
