"""The command ``archgrad list``."""

from __future__ import annotations

import inspect
from typing import Any

from rich.markup import escape
from rich.table import Table

from archgrad import console, discretise, gradient, methods, modifiers, regularisers, relaxation, schedules, spaces
from archgrad import data as datasets
from archgrad.errors import ArchgradError, unknown
from archgrad.spaces import zoo

SECTIONS = ("spaces", "methods", "models", "components", "datasets")
COMPONENTS = (relaxation, gradient, modifiers, regularisers, schedules, discretise)
"""The packages whose public classes are the library's components."""


def list_(section: str | None = None) -> None:
    """List spaces, methods, published models, components and datasets.

    Args:
        section: one of them; all by default
    """
    if section is not None and section not in SECTIONS:
        raise unknown("section", section, SECTIONS)
    for name in [section] if section else SECTIONS:
        table = Table(name.capitalize(), "", title_justify="left", box=None, header_style="bold", pad_edge=False)
        entries = _entries(name)
        for entry, text in entries:
            table.add_row(entry, escape(text))
        console.show(table)
        console.say("")
        console.give(**{name: zoo.published() if name == "models" else dict(entries)})


def _entries(section: str) -> list[tuple[str, str]]:
    if section == "spaces":
        return [(name, f"{_first_line(made)} {_count(spaces.get(name).count)}") for name, made in spaces.SPACES.items()]
    if section == "methods":
        return [(name, _about_method(name)) for name in methods.names()]
    if section == "models":
        return [(name, _about_model(found)) for name, found in zoo.published().items()]
    if section == "datasets":
        paths = "an image folder, or a directory of train-*.parquet and test-*.parquet files"
        return [*datasets.NAMES.items(), ("PATH", paths)]
    return [(f"{m.__name__}.{name}", _first_line(getattr(m, name))) for m in COMPONENTS for name in m.__all__]


def _count(genotypes: int) -> str:
    """How many, exactly as long as a person can read it."""
    return f"{genotypes:,} genotypes." if genotypes < 10**7 else f"{genotypes:.3e} genotypes."


def _about_model(found: zoo.Published) -> str:
    """Its origin in a line, and what was measured with it."""
    lines = [f"{found.title}, arXiv {found.paper}; {found.source}", *map(str, found.results)]
    return "\n".join(lines)


def _about_method(name: str) -> str:
    """What it is, and what it takes of a network of one's own where not any will do."""
    try:
        needs = methods.get(name, space="").needs
        return " ".join([_first_line(methods.function(name)), *(f"Needs {text}." for text in needs)])
    except ArchgradError as error:  # a broken plug-in must not hide the other methods
        return str(error)


def _first_line(thing: Any) -> str:
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`")
