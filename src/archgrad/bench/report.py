"""The report of a campaign: one HTML page that needs nothing outside itself, and tables for papers beside it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

from archgrad.bench import diagnostics, sections, tables
from archgrad.bench.results import Results
from archgrad.bench.statistics.analysis import Analysis, analyse
from archgrad.report.markup import Markup, element, join
from archgrad.report.section import Section, note
from archgrad.runs import atomic_write

SECTIONS: tuple[Callable[[Analysis], Section | None], ...] = (*sections.SECTIONS, *diagnostics.SECTIONS)
"""What a report consists of, in this order; a section that has nothing to say about the results returns None."""


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
    written = tables.write(analysis, out.parent / f"{out.stem}-tables")
    atomic_write(out, render(analysis).encode())
    return out, written


def render(analysis: Analysis) -> str:
    """The whole page."""
    made = [section for make in SECTIONS if (section := _section(make, analysis)) is not None]
    names = [_anchor(section.title) for section in made]
    links = [element("a", section.title, href=f"#{name}") for section, name in zip(made, names, strict=True)]
    body = [
        element("section", element("h2", section.title), section.body, id=name)
        for section, name in zip(made, names, strict=True)
    ]
    title = analysis.results.title
    styles = [
        Markup(resources.files(package).joinpath(name).read_text())
        for package, name in (("archgrad.report", "style.css"), ("archgrad.bench", "report.css"))
    ]
    head = join(element("title", f"{title} · archgrad"), element("style", styles))
    header = element(
        "header",
        element("p", "archgrad benchmark report", class_="eyebrow"),
        element("h1", title),
        element("nav", links, aria_label="Sections"),
    )
    environment = (
        f"Report written by archgrad {metadata.version('archgrad')} · Python {platform.python_version()} · "
        f"{analysis.resamples:,} bootstrap resamples"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{head}</head>\n<body>{header}\n{element('main', *body)}\n{element('footer', environment)}</body></html>\n"
    )


def _section(make: Callable[[Analysis], Section | None], analysis: Analysis) -> Section | None:
    try:
        return make(analysis)
    except (
        Exception
    ) as error:  # extras may hold anything, and one odd value must not cost the reader the other sections
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Section(make.__name__.replace("_", " ").capitalize(), note(f"This section cannot be shown: {reason}"))


def _anchor(title: str) -> str:
    return "-".join(title.lower().split())
