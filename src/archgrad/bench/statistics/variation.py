"""Where the differences come from: methods, settings, searches, or their interplay; and which setting is best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from archgrad.bench.statistics.cube import Cube

COMPONENTS = ("method", "search", "setting", "method × setting", "rest")


@dataclass(frozen=True, eq=False)
class Spread:
    """Per benchmark, in points: deviation (n − 1) and range of the methods' means and of the settings' means.

    ``components``: variances in points², a row per benchmark, named by `COMPONENTS`; NaN where they cannot be told
    apart. Without repeated searches the noise of the one search is within ``method``, the rest within
    ``method × setting``.
    """

    benchmarks: tuple[str, ...]
    method_deviation: Float[np.ndarray, " benchmarks"]
    setting_deviation: Float[np.ndarray, " benchmarks"]
    method_range: Float[np.ndarray, " benchmarks"]
    setting_range: Float[np.ndarray, " benchmarks"]
    components: Float[np.ndarray, "benchmarks components"]

    @property
    def shares(self) -> Float[np.ndarray, "benchmarks components"]:
        """Components as shares of their sum."""
        total = np.nansum(self.components, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(total > 0, self.components / total, np.nan))


def spread(cube: Cube) -> Spread:
    """The spread of a compared cube."""
    columns = []
    for b in range(len(cube.benchmarks)):
        used = ~np.isnan(cube.cells[:, b]).any(0)
        cells = cube.cells[:, b, used]
        methods, settings = cells.mean(1), cells.mean(0)
        columns.append(
            (
                _deviation(methods),
                _deviation(settings),
                float(np.ptp(methods)),
                float(np.ptp(settings)),
                components(cube.scores[:, b][:, used]),
            )
        )
    method, setting, method_range, setting_range, parts = (np.array(x) for x in zip(*columns, strict=True))
    return Spread(cube.benchmarks, method, setting, method_range, setting_range, parts)


def components(scores: Float[np.ndarray, "methods settings searches"]) -> Float[np.ndarray, " components"]:
    """Variance components by the method of moments; a negative estimate counts as 0.

    y = μ + method + setting + search(method) + method·setting + rest, all random. With M methods, H settings and S
    searches: E MS_search = σ²ᵣ + Hσ²ₛ; E MS_method·setting = σ²ᵣ + Sσ²ₓ; E MS_setting = σ²ᵣ + Sσ²ₓ + MSσ²ₕ;
    E MS_method = σ²ᵣ + Hσ²ₛ + Sσ²ₓ + HSσ²ₘ. Searches that lack a setting are left out; S is the harmonic mean over the
    methods where they differ.
    """
    m, h, _ = scores.shape
    complete = ~np.isnan(scores).any(1)
    number = complete.sum(-1)
    result = np.full(len(COMPONENTS), np.nan)
    if m < 2 or h < 2:
        return result
    repeated = bool((number >= 1).all() and (number >= 2).sum() >= 2)
    if repeated:
        runs = [scores[i][:, complete[i]] for i in range(m)]
        cells = np.stack([run.mean(1) for run in runs])
    else:
        runs, cells = [], np.nanmean(scores, axis=-1)
    methods, settings, grand = cells.mean(1), cells.mean(0), cells.mean()
    mixed = cells - methods[:, None] - settings[None] + grand
    s = float(len(number) / (1 / number).sum()) if repeated else 1.0
    ms_method = s * h * ((methods - grand) ** 2).sum() / (m - 1)
    ms_setting = s * m * ((settings - grand) ** 2).sum() / (h - 1)
    ms_mixed = s * (mixed**2).sum() / ((m - 1) * (h - 1))
    if not repeated:
        result[[0, 2, 3]] = (ms_method - ms_mixed) / h, (ms_setting - ms_mixed) / m, ms_mixed
        return np.asarray(np.maximum(result, 0.0))
    freedom = int((number - 1).sum())
    ms_search = sum(h * ((run.mean(0) - run.mean()) ** 2).sum() for run in runs) / freedom
    ms_rest = sum(_interplay(run) for run in runs) / (freedom * (h - 1))
    result[:] = (
        (ms_method - ms_search - ms_mixed + ms_rest) / (h * s),
        (ms_search - ms_rest) / h,
        (ms_setting - ms_mixed) / (m * s),
        (ms_mixed - ms_rest) / s,
        ms_rest,
    )
    return np.asarray(np.maximum(result, 0.0))


def best_settings(cube: Cube) -> tuple[Float[np.ndarray, " settings"], int]:
    """How many of the methods' benchmarks each setting is best for, equally good ones sharing; and of how many.

    Benchmarks that score the same searches are one.
    """
    cells = cube.by_stratum(cube.cells).reshape(-1, len(cube.settings))
    cells = cells[~np.isnan(cells).all(1)]
    best = cells == np.nanmax(cells, axis=1, keepdims=True)
    share: Float[np.ndarray, " settings"] = (best / best.sum(1, keepdims=True)).sum(0)
    return share, len(cells)


def _interplay(run: Float[np.ndarray, "settings searches"]) -> float:
    return float(((run - run.mean(0, keepdims=True) - run.mean(1, keepdims=True) + run.mean()) ** 2).sum())


def _deviation(values: Float[np.ndarray, " values"]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
