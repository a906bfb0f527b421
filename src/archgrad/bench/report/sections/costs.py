"""Cost against score."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from archgrad.bench.report.figures import figure, method_colours
from archgrad.bench.report.wording import score_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.figures.markup import element, join
from archgrad.figures.numbers import count, plain
from archgrad.figures.scatter import Spot, pareto
from archgrad.report.section import Section

COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters of the settled network", count),
    "flops": ("FLOPs of the settled network", count),
    "search_seconds": ("time of a search", plain),
    "train_seconds": ("time of a training", plain),
}

UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


def costs(analysis: Analysis) -> Section | None:
    """Cost against score, and who is beaten in both."""
    frame = analysis.results.frame
    cube = analysis.cube
    kept = frame[frame.method.isin(cube.methods) & frame.benchmark.isin(cube.benchmarks) & frame.score.notna()]
    scores = dict(zip(cube.methods, cube.shown(cube.blocks().mean(0)).tolist(), strict=True))
    colours = method_colours(cube.methods)
    figures = []
    for name, (words, shown) in COSTS.items():
        known = kept[kept[name].notna()]
        by_benchmark = known.groupby(["method", "benchmark"])[name].mean().unstack()
        means = by_benchmark.dropna().mean(axis=1)
        if len(means) < 2:
            continue
        words, means = _in_units(words, means) if name.endswith("seconds") else (words, means)
        spots = [
            Spot(m, float(x), scores[m], colours[m], f"{m}: {score_text(analysis, scores[m])} at {shown(float(x))}")
            for m, x in zip(map(str, means.index), means, strict=True)
        ]
        data = pd.DataFrame(
            {"method": [s.name for s in spots], name: [s.x for s in spots], "score": [s.y for s in spots]}
        )
        drawing = pareto(
            f"{words} against score",
            spots,
            x_name=words,
            y_name=analysis.results.primary,
            shown=shown,
            higher_is_better=analysis.results.reading.higher_is_better,
        )
        figures.append(figure(f"Score against {words}, means over the benchmarks", drawing, data, f"pareto_{name}"))
    if not figures:
        return None
    lead = element("p", "The dashed line joins the methods that no other beats in both.", class_="lead")
    return Section("Cost", join(lead, element("div", figures, class_="panels wide")))


def _in_units(words: str, seconds: pd.Series) -> tuple[str, pd.Series]:
    """Times in the largest unit of which the longest has two, and the words with that unit."""
    size, unit = next(((s, u) for s, u in UNITS if seconds.max() >= 2 * s), UNITS[-1])
    return f"{words}, {unit}", seconds / size
