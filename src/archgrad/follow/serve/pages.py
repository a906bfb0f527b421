"""The pages. Everything in them goes through `element`, which escapes whatever is no markup."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from archgrad.figures.axes import style as figures_style
from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Child, Markup, element, join
from archgrad.figures.numbers import count, duration
from archgrad.follow.comparing import Comparison
from archgrad.follow.history import History, curves
from archgrad.follow.listing import progress
from archgrad.follow.sections import fronts, sections
from archgrad.follow.serve.board import Board, Entry
from archgrad.follow.whole import whole
from archgrad.report.document import sections_of
from archgrad.report.measure import Measure
from archgrad.report.page import SECTIONS
from archgrad.report.section import Section, note, tile
from archgrad.report.settings import settings
from archgrad.report.tabular import in_table
from archgrad.summary import Summary

OF_SEARCH = tuple(section for section in SECTIONS if section is not in_table)
"""A report's sections but for the one that reads tables outside the runs' directory."""

COLUMNS = (
    *("Run", "State", "Done", "Method", "Space", "Data", "Seed"),
    *("Score", "of", "Parameters", "Time", "Changed"),
)
"""Of the table of all runs; the style sheet says which are numbers, and which a phone has no room for."""


AT_ONCE = 100
"""Rows that a browser lays out before it shows the page; the others follow as soon as it has."""


# Addresses


def address(name: str) -> str:
    """Where the page of a run is."""
    return f"/run/{quote(name)}"


# All runs


def index(board: Board) -> str:
    """The page of all runs."""
    mark, entries = board.mark, board.entries()
    head = element(
        "tr",
        element("th", element("input", type="checkbox", id="all", aria_label="Select all that are shown")),
        [element("th", element("button", name, type="button")) for name in COLUMNS],
    )
    rows = [Markup(row(entry)) for entry in entries]
    first, later = element("tbody", rows[:AT_ONCE], id="rows"), element("template", rows[AT_ONCE:], id="later")
    listing = join(element("table", element("thead", head), first, class_="runs"), later)
    tools = element(
        "p",
        element("input", type="search", id="filter", placeholder="Find: any text", aria_label="Find runs"),
        element("button", "Compare the selected", type="submit"),
        element("span", board.counts(), id="counts", aria_live="polite"),
        class_="tools",
    )
    empty = note("There is no run here yet. A search that starts below this directory appears by itself.")
    drawn = element("div", Markup(charts(entries)), id="charts")
    body = [
        element("details", element("summary", "Score and size"), drawn, open=""),
        element("form", tools, element("div", listing, class_="scroll"), action="/compare", method="get"),
        element("div", empty, id="empty", hidden="" if entries else None),
    ]
    return _frame("Runs", "", "", body, data_version=mark, data_page="index")


def charts(entries: Sequence[Entry]) -> str:
    """Score against size, every point of which leads to its run."""
    names = {entry.run.directory: entry.name for entry in entries}
    drawn = fronts(
        [entry.run for entry in entries], lambda run: names[run.directory], lambda run: address(names[run.directory])
    )
    few = note("A chart stands here as soon as two runs have a score and a number of parameters.")
    return element("div", drawn, class_="pair") if drawn else few


@lru_cache(maxsize=10_000)
def row(entry: Entry) -> str:
    """A run as a row of the table; what a column is sorted by stands beside what is shown, where that is no text."""
    run, score = entry.run, entry.run.score
    values: list[tuple[Child, object]] = [
        (element("a", entry.name, href=address(entry.name)), None),
        (_state(run), None),
        (progress(run), run.done),
        (run.method or run.kind, None),
        (run.space, None),
        (Path(run.data).name, None),
        ("" if run.seed is None else run.seed, None),
        (score or "", score.merit if score else None),
        (score.label if score else "", None),
        (count(run.parameters), run.parameters or ""),
        (duration(run.seconds), run.seconds or ""),
        (element("time", "", data_at=f"{run.changed:.0f}"), f"{run.changed:.0f}"),
    ]
    cells = [element("td", shown, data_value=value) for shown, value in values]
    choice = element("td", element("input", type="checkbox", name="run", value=entry.name, aria_label=entry.name))
    return element("tr", choice, cells, data_run=entry.name)


def _state(run: Summary) -> Markup:
    return element(
        "span", element("i", class_="dot"), run.state, class_=f"state {run.state}", title=run.problem or None
    )


# One run


def run(entry: Entry, mark: str) -> str:
    """The page of a run; ``mark``: the board's, when the run was looked up."""
    about = " · ".join(filter(None, [entry.run.space, entry.run.method, Path(entry.run.data).name]))
    body = [element("div", Markup(inside_of_run(entry)), id="part")]
    data = {"data_version": mark, "data_page": "run", "data_run": entry.name}
    return _frame(entry.name, entry.run.kind or "run", about, body, **data)


def inside_of_run(entry: Entry) -> str:
    """What of that page changes."""
    summary = entry.run
    if summary.kind == "training":
        found = [Section("Result", _training(summary)), *sections_of(whole(summary.directory), (settings,))]
    else:
        data = whole(summary.directory)
        found = (
            sections_of(data, OF_SEARCH) if "run" not in data.problems else [Section("Run", note(data.problems["run"]))]
        )
    top = [_progress(summary), note(summary.problem) if summary.problem else None]
    return join(top, [_section(section) for section in found])


def _progress(summary: Summary) -> Markup:
    bar = None
    if summary.planned:
        bar = element("progress", value=min(summary.done, summary.planned), max=summary.planned)
    told = f"{progress(summary)} {summary.unit}, {duration(summary.seconds)}"
    changed = ["changed ", element("time", "", data_at=f"{summary.changed:.0f}")]
    return element("p", _state(summary), bar, element("span", told), element("span", changed), class_="progress")


def _training(summary: Summary) -> Markup:
    """The numbers and the curves of a training."""
    history = History(summary.directory)
    history.update()
    tiles = [tile(*about) for about in _numbers(summary)]
    figures = []
    for curve in curves(summary, history.records):
        measure = Measure(curve.reading, curve.name)
        line = Series(curve.label, curve.values, "series-found")
        chart = line_chart(curve.label, range(1, len(curve.values) + 1), [line], shown=measure.tick)
        figures.append(element("figure", element("figcaption", curve.label), chart))
    return join(element("dl", tiles, class_="tiles"), element("div", figures, class_="pair"))


def _numbers(summary: Summary) -> list[tuple[str, str, str]]:
    found = []
    if summary.score:
        label = summary.score.label
        found.append((label[:1].upper() + label[1:], str(summary.score), "of the network"))
    found.append(("Parameters", count(summary.parameters), "of the network"))
    if summary.flops is not None:
        found.append(("FLOPs", count(summary.flops), "per input"))
    return found


# Comparison


def compare(entries: Sequence[Entry]) -> str:
    """The page that compares runs."""
    if not entries:
        text = note("Choose runs on the page of all runs, and press Compare.")
        return _frame("Comparison", "comparison", "", [text], data_page="compare")
    names = {entry.run.directory: entry.name for entry in entries}
    comparison = Comparison([entry.run for entry in entries])
    found = sections(comparison, lambda run: address(names[run.directory]))
    links = [element("a", section.title, href=f"#{_anchor(section)}") for section in found]
    body = [element("nav", links, aria_label="Sections"), [_section(section) for section in found]]
    return _frame(f"Comparison of {len(entries):,} runs", "comparison", "", body, data_page="compare")


# The frame


def problem(text: str) -> str:
    """A page that says what is wrong."""
    return _frame("Not here", "", "", [note(text)])


def _frame(title: str, kind: str, about: str, body: Child, **attributes: object) -> str:
    head = [
        element("title", f"{title} · archgrad"),
        element("link", rel="stylesheet", href="/style.css"),
        element("link", rel="icon", href="data:,"),
        element("script", src="/page.js", defer=""),
    ]
    header = element(
        "header",
        element("p", element("a", "All runs", href="/"), f" · {kind}" if kind else "", class_="eyebrow"),
        element("h1", title),
        element("p", about, class_="about") if about else None,
        element("p", "The connection is gone; it is tried again.", id="gone", class_="note", hidden=""),
    )
    page = element("body", header, element("main", body), **attributes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{join(head)}</head>\n{page}</html>\n"
    )


def _section(section: Section) -> Markup:
    return element("section", element("h2", section.title), section.body, id=_anchor(section))


def _anchor(section: Section) -> str:
    return "-".join(section.title.lower().split())


def style() -> str:
    """The style sheet: that of figures, that of reports, and what a live page has beside."""
    report = resources.files("archgrad.report").joinpath("style.css").read_text()
    return f"{figures_style()}\n{report}\n{resources.files(__package__).joinpath('page.css').read_text()}"


def script() -> str:
    """The one script."""
    return resources.files(__package__).joinpath("page.js").read_text()
