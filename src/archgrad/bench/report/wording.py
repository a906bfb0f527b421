"""Numbers of a report in words: what is not known is a dash, or nothing within a sentence."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from archgrad.bench.statistics.analysis import Analysis


def setting_text(analysis: Analysis, name: str) -> str:
    """A setting, and what it is."""
    about = analysis.results.settings.get(name)
    return f"{name} ({about})" if about else name


def score_text(analysis: Analysis, value: float, *, sign: bool = False) -> str:
    """A score or a difference of scores: two decimals of a %, else four digits."""
    return f"{value:{'+' if sign else ''}{'.2f' if analysis.results.percent else '.4g'}}"


def blocks_text(analysis: Analysis) -> str:
    """How many benchmarks the tests over benchmarks have: those that score the same searches are one."""
    cube = analysis.cube
    blocks = len(cube.weights)
    if blocks == len(cube.benchmarks):
        return f"{blocks} benchmarks"
    return f"{blocks} benchmark{'s' if blocks > 1 else ''}, those of the same searches being one"


def points_text(analysis: Analysis) -> str:
    """The unit of differences, where they have one."""
    return " points" if analysis.results.percent else ""


def deviation_text(analysis: Analysis, value: float) -> str:
    """± a deviation, where there is one."""
    return "" if math.isnan(value) else f" ± {score_text(analysis, value)}"


def range_text(low: float, high: float) -> str:
    """An interval as a part of a sentence, where there is one."""
    return "" if math.isnan(low) or math.isnan(high) else f", interval {low:.2f} to {high:.2f}".replace("-", "−")


def bounds_text(low: float, high: float) -> str:
    """An interval as a cell of a table."""
    return "–" if math.isnan(low) or math.isnan(high) else f"{low:.2f} … {high:.2f}".replace("-", "−")


def differences_text(analysis: Analysis, low: float, high: float) -> str:
    """An interval of a difference of scores as a cell of a table."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    return " … ".join(score_text(analysis, value, sign=True) for value in (low, high)).replace("-", "−")


def span_text(analysis: Analysis, values: Float[np.ndarray, " n"]) -> str:
    """Deviations from the least to the most."""
    known = values[~np.isnan(values)]
    if not len(known):
        return "unknown"
    return f"{score_text(analysis, known.min())}–{score_text(analysis, known.max())}"


def p_text(value: float) -> str:
    """A p-value."""
    return "–" if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def number_text(value: float, digits: int | None = None) -> str:
    """A number, four digits or so many decimals."""
    if math.isnan(value):
        return "–"
    return f"{value:.4g}" if digits is None else f"{value:.{digits}f}".replace("-", "−")


def searches_text(value: float) -> str:
    """A number of searches."""
    return "–" if math.isnan(value) else "> 100,000" if math.isinf(value) else f"{value:,.0f}"
