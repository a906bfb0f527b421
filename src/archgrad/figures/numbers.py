"""How numbers are written for people."""

from __future__ import annotations


def plain(value: float) -> str:
    """A number with at most four significant digits."""
    return f"{value:.4g}"


def share(fraction: float) -> str:
    """A share between 0 and 1 with at most four significant digits, e.g. ``97.3 %``."""
    return f"{100 * fraction:.4g} %"


def percent(fraction: float | None, digits: int = 2) -> str:
    """A share between 0 and 1, e.g. ``97.31 %``."""
    return "–" if fraction is None else f"{100 * fraction:.{digits}f} %"


def count(number: float | None) -> str:
    """A count with three significant digits and a unit, e.g. ``1.07 M``."""
    if number is None:
        return "–"
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= 0.9995 * size:
            value = number / size
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}{unit}"
    return f"{number:.0f}"


def duration(seconds: float | None) -> str:
    """A time in its two largest units, e.g. ``3 min 20 s``."""
    if seconds is None:
        return "–"
    if seconds < 0.05:
        return "< 0.1 s" if seconds > 0 else "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"
