"""The head of the report: the numbers that matter, and what they allow to say."""

from __future__ import annotations

import math

from archgrad.bench.report.conclusions import conclusions
from archgrad.bench.report.wording import blocks_text, p_text, range_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.results import KEY
from archgrad.figures.markup import element, join
from archgrad.report.section import Section, note, tile


def summary(analysis: Analysis) -> Section:
    """The numbers that matter, what they allow to say, and what a reader must know."""
    best = analysis.ranks
    done, planned = _counted(analysis)
    tiles = [
        tile("Results", f"{done:,}", f"of {planned:,}; {_sizes(analysis)}"),
        tile("Best average rank", best.methods[0], f"{best.average[0]:.2f}{range_text(best.low[0], best.high[0])}"),
    ]
    if (test := best.friedman) is not None:
        words = f"χ² {test.chi2:.2f} over {blocks_text(analysis)}"
        tiles.append(tile("Do methods differ?", f"p {p_text(test.p)}", f"Friedman, {words}"))
    if not math.isnan(analysis.benchmarks.average):
        tiles.append(
            tile("Agreement of benchmarks", f"τ {analysis.benchmarks.average:.2f}", "mean Kendall's τ of two rankings")
        )
    body = join(
        element("dl", tiles, class_="tiles"),
        element("h3", "What the results allow to say"),
        element("ul", [element("li", claim) for claim in conclusions(analysis)], class_="claims"),
        element("div", [note(remark) for remark in analysis.remarks], class_="remarks") if analysis.remarks else None,
    )
    return Section("Summary", body)


def _counted(analysis: Analysis) -> tuple[int, int]:
    """Results with a score, and all: those of one search on benchmarks that score the same searches are one."""
    frame, cube = analysis.results.frame, analysis.everything
    stratum = dict(zip(cube.benchmarks, cube.strata, strict=True))
    each = frame.assign(benchmark=[str(stratum.get(name, name)) for name in frame.benchmark]).groupby(KEY)
    return int(each.score.count().gt(0).sum()), each.ngroups


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
