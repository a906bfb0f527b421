"""Signs of collapse: skip connections that were kept, and the curves of the searches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from archgrad.bench.report.figures import figure
from archgrad.bench.report.sections.curves import charts, decoded
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import natural
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.markup import Child, element, join
from archgrad.report.section import Section

SKIPS = ("skip_connect", "identity")


def collapse(analysis: Analysis) -> Section | None:
    """How many skip connections are kept, and the curves of the searches."""
    extras = decoded(analysis.results)
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
                Tile("", None, f"{m}, {b}: unknown")
                if math.isnan(value := float(shares.get((m, b), math.nan)))
                else Tile(f"{100 * value:.0f} %", -value, f"{m}, {b}: {value:.1%} of the kept operations are skips")
                for b in benchmarks
            ]
            for m in methods
        ]
        drawing = heat_map("Share of skip connections", methods, benchmarks, cells, width=96, height=26)
        caption = "Skip connections among the kept operations, mean over the searches; many are a sign of collapse"
        parts.append(figure(caption, drawing, known, "skips"))
    drawn = charts(frame, extras, "diagnostics", analysis)
    if drawn:
        parts += [element("h3", "During the search"), *drawn]
    return Section("Collapse", join(*parts)) if parts else None


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
