"""The frame that all reports share: a page that needs nothing outside itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import resources
from typing import TypeVar

from archgrad.figures.axes import style
from archgrad.figures.markup import Markup, element, join
from archgrad.report.section import Section, note

Subject = TypeVar("Subject")


def sections_of(subject: Subject, makers: Sequence[Callable[[Subject], Section | None]]) -> list[Section]:
    """What there is to say; a section that fails says so in its own place."""
    return [section for make in makers if (section := _section(make, subject)) is not None]


def document(title: str, kind: str, about: str, sections: Sequence[Section], footer: str, styles: str = "") -> str:
    """The whole page: ``kind`` of report, a line ``about`` its subject or none, and ``styles`` of its own."""
    names = ["-".join(section.title.lower().split()) for section in sections]
    links = [element("a", section.title, href=f"#{name}") for section, name in zip(sections, names, strict=True)]
    body = [
        element("section", element("h2", section.title), section.body, id=name)
        for section, name in zip(sections, names, strict=True)
    ]
    shared = resources.files(__package__).joinpath("style.css").read_text()
    head = join(
        element("title", f"{title} · archgrad"), element("style", Markup(style()), Markup(shared), Markup(styles))
    )
    header = element(
        "header",
        element("p", kind, class_="eyebrow"),
        element("h1", title),
        element("p", about, class_="about") if about else "",
        element("nav", links, aria_label="Sections"),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{head}</head>\n<body>{header}\n{element('main', *body)}\n{element('footer', footer)}</body></html>\n"
    )


def _section(make: Callable[[Subject], Section | None], subject: Subject) -> Section | None:
    try:
        return make(subject)
    except Exception as error:  # files may hold anything, and one odd value must not cost the reader the other sections
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Section(make.__name__.replace("_", " ").capitalize(), note(f"This section cannot be shown: {reason}"))
