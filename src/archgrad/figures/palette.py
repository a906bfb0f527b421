"""One colour per operation, the same in every figure of a report: by kind where the kind is known, else in order."""

from __future__ import annotations

from collections.abc import Iterable

from archgrad.figures.markup import Markup, element

# skip and identity as in `genotype.is_skip`
KINDS = {"skip": "skip", "identity": "skip", "max_pool": "max", "avg_pool": "avg", "none": "none", "zero": "none"}
OTHERS = 8  # colours in style.css for operations of other kinds


def colours(operations: Iterable[str]) -> dict[str, str]:
    """Operation → the class that colours it."""
    result: dict[str, str] = {}
    others = 0
    for name in dict.fromkeys(operations):
        kind = next((kind for start, kind in KINDS.items() if name.lower().startswith(start)), None)
        if kind is None:
            kind, others = str(others % OTHERS), others + 1
        result[name] = f"op-{kind}"
    return result


def chip(name: str, colour: str | None) -> Markup:
    """An operation's name behind a dot of its colour."""
    return element("span", element("i", class_="dot"), name, class_=f"chip {colour or 'op-none'}")


def legend(entries: dict[str, str]) -> Markup:
    """Name → class, as a line of chips."""
    return element("p", [chip(name, colour) for name, colour in entries.items()], class_="legend")
