"""The report of a campaign: one HTML page that needs nothing outside itself, and tables for papers beside it."""

from __future__ import annotations

import platform
from importlib import metadata, resources
from pathlib import Path

from archgrad.bench.report import tables
from archgrad.bench.report.sections import SECTIONS
from archgrad.bench.statistics.analysis import Analysis, analyse
from archgrad.bench.statistics.results import Results
from archgrad.foreign import files
from archgrad.report.document import document, sections_of
from archgrad.runs import atomic_write


def write(
    results: Results, out: Path | str, *, alpha: float = 0.05, resamples: int = 2000, seed: int = 0
) -> tuple[Path, list[Path]]:
    """Write the page to ``out`` and its tables into ``NAME-tables/`` beside it; returns the page and the tables.

    ``alpha``: level of the tests, and of intervals 1 − alpha. Refuses results without any score.
    """
    out = Path(out)
    out = out / "report.html" if out.is_dir() or out.suffix not in (".html", ".htm") else out
    analysis = analyse(results, alpha=alpha, resamples=resamples, seed=seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    written = tables.write(analysis, files.inside(out.parent, f"{out.stem}-tables"))
    atomic_write(out, render(analysis).encode())
    return out, written


def render(analysis: Analysis) -> str:
    """The whole page."""
    environment = (
        f"Report written by archgrad {metadata.version('archgrad')} · Python {platform.python_version()} · "
        f"{analysis.resamples:,} bootstrap resamples"
    )
    styles = resources.files("archgrad.bench.report").joinpath("report.css").read_text()
    title = analysis.results.title
    return document(title, "archgrad benchmark report", "", sections_of(analysis, SECTIONS), environment, styles)
