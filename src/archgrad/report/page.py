"""The page: sections one after the other, in a file that needs nothing outside itself."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

import torch

from archgrad.proxies.report import proxy_scores
from archgrad.report.cells import cells
from archgrad.report.comparison import comparison
from archgrad.report.curves import curves, learning_curves
from archgrad.report.diagnostics import diagnostics
from archgrad.report.headline import headline
from archgrad.report.markup import Markup, element, join
from archgrad.report.robustness import robustness
from archgrad.report.rundata import RunData
from archgrad.report.section import Section, note
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
    sections = [section for make in SECTIONS if (section := _section(make, data)) is not None]
    names = [_anchor(section.title) for section in sections]
    links = [element("a", section.title, href=f"#{name}") for section, name in zip(sections, names, strict=True)]
    body = [
        element("section", element("h2", section.title), section.body, id=name)
        for section, name in zip(sections, names, strict=True)
    ]
    about = [data.space, data.method, str(data.result.get("data") or data.config.get("data") or "")]
    head = join(
        element("title", f"{data.name} · archgrad"),
        element("style", Markup(resources.files(__package__).joinpath("style.css").read_text())),
    )
    header = element(
        "header",
        element("p", "archgrad search report", class_="eyebrow"),
        element("h1", data.name),
        element("p", " · ".join(filter(None, about)), class_="about"),
        element("nav", links, aria_label="Sections"),
    )
    footer = element("footer", _environment())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{head}</head>\n<body>{header}\n{element('main', *body)}\n{footer}</body></html>\n"
    )


def _section(make: Callable[[RunData], Section | None], data: RunData) -> Section | None:
    try:
        return make(data)
    except Exception as error:  # files may hold anything, and one odd value must not cost the reader the other sections
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Section(make.__name__.replace("_", " ").capitalize(), note(f"This section cannot be shown: {reason}"))


def _anchor(title: str) -> str:
    return "-".join(title.lower().split())


def _environment() -> str:
    versions = (
        f"archgrad {metadata.version('archgrad')} · torch {torch.__version__} · Python {platform.python_version()}"
    )
    return f"Report written by {versions}"
