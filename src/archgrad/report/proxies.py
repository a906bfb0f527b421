"""The part of a run's report that shows a search by proxies."""

from __future__ import annotations

import math
from typing import Any

from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import details, element, join, table
from archgrad.figures.numbers import count
from archgrad.figures.palette import legend
from archgrad.report.rundata import RunData, number
from archgrad.report.section import Section, note

SHOWN = 10


def proxy_scores(data: RunData) -> Section | None:
    """The scores in the order in which they were found, and the best architectures; None for other runs."""
    records = [record for record in data.history if isinstance(record.get("scores"), dict)]
    if not records:
        return None
    names = list(dict.fromkeys(name for record in records for name in record["scores"]))
    figures = []
    for name in names:
        values = [number(record["scores"].get(name)) for record in records]
        so_far: list[float | None] = []
        for value in values:
            so_far.append(max((v for v in (*so_far[-1:], value) if v is not None), default=None))
        lines = [Series("this one", values, "series-a", thin=True), Series("best so far", so_far, "series-b")]
        chart = line_chart(name, range(1, len(records) + 1), lines, x_name="architectures scored")
        figures.append(element("figure", element("figcaption", name), chart))

    def first(record: dict[str, Any]) -> float:
        value = number(record["scores"].get(names[0]))
        return -math.inf if value is None else value

    ordered = sorted(records, key=first, reverse=True)
    rows = [
        [
            str(record.get("genotype", "")),
            *("–" if (v := number(record["scores"].get(name))) is None else f"{v:.5g}" for name in names),
            count(number(record.get("parameters"))),
            count(number(record.get("flops"))),
        ]
        for record in ordered
    ]
    header = ["Architecture", *names, "Parameters", "FLOPs"]
    numeric = range(1, len(header))
    return Section(
        "Scores",
        join(
            note(f"{len(records)} architectures were scored, none was trained."),
            legend({"this one": "series-a", "best so far": "series-b"}),
            element("div", figures, class_="pair"),
            table(header, rows[:SHOWN], numeric=numeric),
            details("All architectures", table(header, rows, numeric=numeric)) if len(rows) > SHOWN else None,
        ),
    )
