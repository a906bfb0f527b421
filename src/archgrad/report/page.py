"""The page: sections one after the other, in a file that needs nothing outside itself."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch

from archgrad.report.cells import cells
from archgrad.report.comparison import comparison
from archgrad.report.curves import curves, learning_curves
from archgrad.report.diagnostics import diagnostics
from archgrad.report.document import document, sections_of
from archgrad.report.headline import headline
from archgrad.report.proxies import proxy_scores
from archgrad.report.robustness import robustness
from archgrad.report.rundata import RunData
from archgrad.report.section import Section
from archgrad.report.settings import settings
from archgrad.report.tabular import in_table
from archgrad.report.weights import weights
from archgrad.runs import atomic_write

SECTIONS: tuple[Callable[[RunData], Section | None], ...] = (
    headline,
    cells,
    proxy_scores,
    comparison,
    robustness,
    in_table,
    weights,
    diagnostics,
    curves,
    learning_curves,
    settings,
)
"""What a report consists of, in this order; a section that has nothing to say about a run returns None."""


def write(run_directory: Path | str) -> Path:
    """Write ``report.html`` into the directory of a search, finished or not, and return its path.

    Pieces that are missing or damaged are named in the report. Raises ArchgradError if the directory is no run.
    """
    data = RunData.read(run_directory)
    path = data.directory / "report.html"
    atomic_write(path, render(data).encode())
    return path


def render(data: RunData) -> str:
    """The whole page."""
    about = [data.space, data.method, str(data.result.get("data") or data.config.get("data") or "")]
    return document(
        data.name,
        "archgrad search report",
        " · ".join(filter(None, about)),
        sections_of(data, SECTIONS),
        _environment(),
    )


def _environment() -> str:
    versions = (
        f"archgrad {metadata.version('archgrad')} · torch {torch.__version__} · Python {platform.python_version()}"
    )
    return f"Report written by {versions}"
