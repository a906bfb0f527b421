"""The sections of a report that need more than scores: costs, choosing by supernet loss, collapse, learning curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from archgrad.bench.report.figures import HeatCell, Spot, download, figure, heat_map, method_colours, pareto
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import natural
from archgrad.bench.statistics.results import Results
from archgrad.bench.statistics.selection import selection
from archgrad.report.charts import Series, line_chart
from archgrad.report.markup import Child, Markup, element, join, table
from archgrad.report.palette import legend
from archgrad.report.section import Section, count, plain

COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters of the settled network", count),
    "flops": ("FLOPs of the settled network", count),
    "search_seconds": ("time of a search", plain),
    "train_seconds": ("time of a training", plain),
}
UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
SKIPS = ("skip_connect", "identity")


def costs(analysis: Analysis) -> Section | None:
    """Cost against score, and who is beaten in both."""
    frame = analysis.results.frame
    cube = analysis.cube
    kept = frame[frame.method.isin(cube.methods) & frame.benchmark.isin(cube.benchmarks) & frame.score.notna()]
    scores = dict(zip(cube.methods, cube.blocks().mean(0).tolist(), strict=True))
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
            Spot(m, float(x), scores[m], colours[m], f"{m}: {scores[m]:.2f} at {shown(float(x))}")
            for m, x in zip(map(str, means.index), means, strict=True)
        ]
        data = pd.DataFrame(
            {"method": [s.name for s in spots], name: [s.x for s in spots], "score": [s.y for s in spots]}
        )
        drawing = pareto(f"{words} against score", spots, x_name=words, y_name=analysis.results.primary, shown=shown)
        figures.append(figure(f"Score against {words}, means over the benchmarks", drawing, data, f"pareto_{name}"))
    if not figures:
        return None
    lead = element("p", "The dashed line joins the methods that no other beats in both.", class_="lead")
    return Section("Cost", join(lead, element("div", figures, class_="panels wide")))


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
        "the mean of all searches, beside the best and the worst of them (by test score, which nobody can choose by): "
        "what that choice gains, and the spread that it hides. τ: does a lower loss mean a higher score?",
        class_="lead",
    )
    header = ["Method", "Benchmarks", "Chosen", "Best", "Worst", "τ of loss and score"]
    data = pd.DataFrame([vars(s) for s in found])
    body = join(lead, element("p", download(data, "choosing")), table(header, rows, numeric=range(1, 6)))
    return Section("Choosing by supernet loss", body)


def collapse(analysis: Analysis) -> Section | None:
    """How many skip connections are kept, and the curves of the searches."""
    extras = _decoded(analysis.results)
    frame = analysis.results.frame
    skips = [_skips(extra, text) for extra, text in zip(extras, frame.genotype, strict=True)]
    searches = frame[["method", "benchmark", "seed", "score"]].assign(skips=skips)
    keys = ["method", "benchmark", "seed"]
    known = searches.dropna(subset=["skips"]).groupby(keys, sort=False)[["skips", "score"]].mean().reset_index()
    parts: list[Child] = []
    if len(known):
        shares = known.groupby(["method", "benchmark"]).skips.mean().to_dict()
        methods = [m for m in analysis.cube.methods if m in set(known.method)]
        methods += natural(set(known.method) - set(methods))
        benchmarks = natural(set(known.benchmark))
        cells = [
            [
                HeatCell("", None, f"{m}, {b}: unknown")
                if math.isnan(value := float(shares.get((m, b), math.nan)))
                else HeatCell(f"{100 * value:.0f} %", -value, f"{m}, {b}: {value:.1%} of the kept operations are skips")
                for b in benchmarks
            ]
            for m in methods
        ]
        drawing = heat_map("Share of skip connections", methods, benchmarks, cells, width=96, height=26)
        caption = "Skip connections among the kept operations, mean over the searches; many mean a collapsed search"
        parts.append(figure(caption, drawing, known, "skips"))
    drawn = _curves(frame, extras, "diagnostics", analysis)
    if drawn:
        parts += [element("h3", "During the search"), *drawn]
    return Section("Collapse", join(*parts)) if parts else None


def learning_curves(analysis: Analysis) -> Section | None:
    """The curves of the trainings, means per method."""
    drawn = _curves(analysis.results.frame, _decoded(analysis.results), "curves", analysis)
    return Section("Learning curves", join(*drawn)) if drawn else None


def _curves(frame: pd.DataFrame, extras: list[dict[str, Any]], kind: str, analysis: Analysis) -> list[Markup]:
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
    share = name.endswith("accuracy")
    words = name.replace("_", " ").capitalize()
    charts = []
    for benchmark in natural(data.benchmark.unique()):
        ours = data[data.benchmark == benchmark].pivot(index="epoch", columns="method", values=name)
        series = [Series(m, [None if v != v else float(v) for v in ours[m]], colours[m]) for m in natural(ours.columns)]
        chart = line_chart(
            f"{words}, {benchmark}",
            [float(x) for x in ours.index],
            series,
            shown=_percent if share else plain,
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


def _skips(extra: Mapping[str, Any], genotype: str) -> float:
    """The share as the result says it, or counted in the notation; NaN where neither tells."""
    given = extra.get("skips")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    kept = [word for word in _words(genotype) if word not in ("normal", "reduce", "normal_concat", "reduce_concat")]
    return float(np.mean([word in SKIPS for word in kept])) if kept else math.nan


@lru_cache(maxsize=100_000)
def _words(genotype: str) -> tuple[str, ...]:
    letters = "".join(c if c.isalnum() or c == "_" else " " for c in genotype)
    return tuple(word for word in letters.split() if "_" in word or word in ("none", "identity", "zero"))


@lru_cache(maxsize=2)
def _decoded(results: Results) -> list[dict[str, Any]]:
    return results.extras()


def _in_units(words: str, seconds: pd.Series) -> tuple[str, pd.Series]:
    """Times in the largest unit of which the longest has two, and the words with that unit."""
    size, unit = next(((s, u) for s, u in UNITS if seconds.max() >= 2 * s), UNITS[-1])
    return f"{words}, {unit}", seconds / size


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.4g} %"


SECTIONS: tuple[Callable[[Analysis], Section | None], ...] = (costs, choosing, collapse, learning_curves)
