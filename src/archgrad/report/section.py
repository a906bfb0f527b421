"""What a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.figures.markup import Child, Markup, element


@dataclass(frozen=True)
class Section:
    """One part of the page: its title, and its body as markup."""

    title: str
    body: Markup


def note(*text: Child) -> Markup:
    """One line that says what is missing, or how to read what follows."""
    return element("p", *text, class_="note")


def tile(name: str, value: str, remark: str) -> Markup:
    """A number that matters, between its name and what it counts; an entry of a ``dl`` of the class ``tiles``."""
    return element(
        "div", element("dt", name), element("dd", value, class_="value"), element("dd", remark, class_="remark")
    )
