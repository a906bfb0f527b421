"""Curves over epochs: of the trainings, and of any quantity that results bring along."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from archgrad.bench.report.figures import download, method_colours
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import natural
from archgrad.bench.statistics.results import Results
from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Markup, element, join
from archgrad.figures.numbers import plain, share
from archgrad.figures.palette import legend
from archgrad.report.section import Section


def learning_curves(analysis: Analysis) -> Section | None:
    """The curves of the trainings, means per method."""
    drawn = charts(analysis.results.frame, decoded(analysis.results), "curves", analysis)
    return Section("Learning curves", join(*drawn)) if drawn else None


def charts(frame: pd.DataFrame, extras: list[dict[str, Any]], kind: str, analysis: Analysis) -> list[Markup]:
    """A row of charts per quantity, a chart per benchmark, a line per method: means over its results."""
    keys = zip(frame.method, frame.benchmark, frame.seed, strict=True)
    sums: dict[str, dict[tuple[str, str], dict[float, list[float]]]] = {}
    seen: set[tuple[str, str, int]] = set()
    for (method, benchmark, seed), extra in zip(keys, extras, strict=True):
        curves = extra.get(kind)
        if not isinstance(curves, Mapping) or not curves:
            continue
        if kind == "diagnostics":  # of one search, repeated with each of its trainings
            if (method, benchmark, seed) in seen:
                continue
            seen.add((method, benchmark, seed))
        for name, curve in curves.items():
            here = sums.setdefault(str(name), {}).setdefault((method, benchmark), {})
            for x, y in _points(curve):
                entry = here.setdefault(x, [0.0, 0.0])
                entry[0] += y
                entry[1] += 1
    colours = method_colours(natural(frame.method.unique()))
    result = []
    for name, found in sums.items():
        rows = [
            (method, benchmark, x, total / number, int(number))
            for (method, benchmark), values in found.items()
            for x, (total, number) in sorted(values.items())
        ]
        if not rows:
            continue
        data = pd.DataFrame(rows, columns=["method", "benchmark", "epoch", name, "results"])
        result.append(_charts(name, data, colours, analysis))
    if result:
        shown = {m: colours[m] for m in natural(set(frame.method))}
        result.insert(0, legend(shown))
    return result


def _charts(name: str, data: pd.DataFrame, colours: Mapping[str, str], analysis: Analysis) -> Markup:
    reading = analysis.results.reading
    part, _, metric = name.partition("_")
    known = part in ("train", "evaluation")
    words = f"{part.capitalize()} {reading.label(metric)}" if known else name.replace("_", " ").capitalize()
    charts = []
    for benchmark in natural(data.benchmark.unique()):
        ours = data[data.benchmark == benchmark].pivot(index="epoch", columns="method", values=name)
        series = [Series(m, [None if v != v else float(v) for v in ours[m]], colours[m]) for m in natural(ours.columns)]
        chart = line_chart(
            f"{words}, {benchmark}",
            [float(x) for x in ours.index],
            series,
            shown=share if known and metric in reading.shares else plain,
            size=(340, 210),
        )
        charts.append(element("figure", element("figcaption", benchmark), chart))
    head = element("figcaption", element("span", f"{words}, means over a method’s results"), download(data, name))
    return element("div", head, element("div", charts, class_="panels"))


def _points(curve: Any) -> Iterable[tuple[float, float]]:
    try:
        pairs = [(float(x), float(y)) for x, y in zip(curve["x"], curve["y"], strict=False)]
    except (KeyError, TypeError, ValueError):
        return []
    return [(x, y) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]


@lru_cache(maxsize=2)
def decoded(results: Results) -> list[dict[str, Any]]:
    return results.extras()
