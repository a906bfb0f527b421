"""What training only the search of the lowest supernet loss hides."""

from __future__ import annotations

import math

import pandas as pd

from archgrad.bench.report.figures import download
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.selection import selection
from archgrad.figures.markup import element, join, table
from archgrad.report.section import Section


def choosing(analysis: Analysis) -> Section | None:
    """What training only the search of the lowest supernet loss hides."""
    found = selection(analysis.results)
    if not found:
        return None
    rows = [
        [s.method, s.benchmarks, *(f"{v:+.2f}".replace("-", "−") for v in (s.chosen, s.best, s.worst)),
         "–" if math.isnan(s.tau) else f"{s.tau:.2f}".replace("-", "−")]
        for s in found
    ]  # fmt: skip
    lead = element(
        "p",
        "The published protocol trains only the search with the lowest supernet validation loss. Its score relative to "
        "the mean of all searches, beside the best and the worst of them (by test score, which must not be used to "
        "choose): what that choice gains, and the spread that it hides. τ: does a lower loss mean a higher score?",
        class_="lead",
    )
    header = ["Method", "Benchmarks", "Chosen", "Best", "Worst", "τ of loss and score"]
    data = pd.DataFrame([vars(s) for s in found])
    body = join(lead, element("p", download(data, "choosing")), table(header, rows, numeric=range(1, 6)))
    return Section("Choosing by supernet loss", body)
