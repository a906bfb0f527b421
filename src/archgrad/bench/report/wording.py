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


def deviation_text(value: float) -> str:
    """± a deviation, where there is one."""
    return "" if math.isnan(value) else f" ± {value:.2f}"


def range_text(low: float, high: float) -> str:
    """An interval as a part of a sentence, where there is one."""
    return "" if math.isnan(low) or math.isnan(high) else f", interval {low:.2f} to {high:.2f}".replace("-", "−")


def bounds_text(low: float, high: float, *, sign: bool = False) -> str:
    """An interval as a cell of a table."""
    if math.isnan(low) or math.isnan(high):
        return "–"
    return (f"{low:+.2f} … {high:+.2f}" if sign else f"{low:.2f} … {high:.2f}").replace("-", "−")


def span_text(values: Float[np.ndarray, " n"]) -> str:
    """From the least to the most."""
    known = values[~np.isnan(values)]
    return f"{known.min():.2f}–{known.max():.2f}" if len(known) else "unknown"


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
