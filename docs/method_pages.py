"""One page per method, and the table of methods and components, written from ``archgrad.methods`` as the site is built.

    python docs/method_pages.py darts_minus    # a page as Markdown

MkDocs calls `on_config` and `on_files`; nothing is stored. Published settings come with their sources from
``benchmarks/settings.py``, and what our own studies found from the tables of the pages in `STUDIES`: every table there
whose first column names the method gives a row.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archgrad import methods
from archgrad.alpha_lr import alpha_epochs
from archgrad.anneal import Anneal
from archgrad.gradient import Fixed
from archgrad.method import ROLES, SEVERAL, Method

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "methods"
STUDIES = (
    *sorted(str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs/studies").glob("*.md")),
    *("methods.md", "collapse.md", "mini-suite.md", "published-benchsuite.md"),
)
"""The pages of docs/ with measurements of our own, or of others read again."""
SPACES = {"darts": "DARTS spaces", "nasbench201": "NAS-Bench-201", "": "a network of your own"}
BASE = methods.get("darts")


def names() -> list[str]:
    """The methods of the library itself, in its own order."""
    return list(methods.METHODS)


def pages() -> dict[str, str]:
    """Path below docs/ → Markdown."""
    return {f"{FOLDER}/{name}.md": page(name) for name in names()} | {f"{FOLDER}/components.md": components_page()}


# One page


def page(name: str) -> str:
    """All that is known of a method."""
    title, *rest = _paragraphs(methods.function(name))
    parts = [f"# `{name}`", title, *rest, _composition(name), _formulas(name), _settings(name)]
    return "\n\n".join([*parts, *_needs(name), _use(name), *_studies(name)]) + "\n"


def _composition(name: str) -> str:
    """The roles that differ from DARTS', on every space."""
    rows = {}
    for space, title in SPACES.items():
        for role in ROLES:
            if text := _role(methods.get(name, space), role):
                rows.setdefault((role, text), []).append(title)
    if not rows:
        return "## What it is made of\n\nThis is the method from which all others are told apart: " + ", ".join(
            _component(part) for role in ROLES for part in _parts(BASE, role)
        )
    lines = [
        f"| {role.replace('_', ' ')} | {text} | {'all' if len(where) == len(SPACES) else ', '.join(where)} |"
        for (role, text), where in rows.items()
    ]
    head = (
        "Where it differs from [`darts`](darts.md); all else is the same.\n\n| role | component | on |\n|---|---|---|\n"
    )
    return "## What it is made of\n\n" + head + "\n".join(lines)


def _formulas(name: str) -> str:
    """What its components do, as they say it themselves."""
    parts = {type(part): part for space in SPACES for part in different(name, space)}
    parts = parts or {type(part): part for role in ROLES for part in _parts(BASE, role)}
    texts = [f"### {kind.__name__}\n\n" + "\n\n".join(_paragraphs(kind)) for kind in parts]
    return "\n\n".join(["## Formulas", *texts])


def _settings(name: str) -> str:
    """The two optimisers and the length, one column per space."""
    found = {title: _numbers(methods.get(name, space)) for space, title in SPACES.items()}
    lines = [
        f"| {row} | " + " | ".join(numbers[row] for numbers in found.values()) + " |"
        for row in next(iter(found.values()))
    ]
    head = f"| | {' | '.join(found)} |\n|---|{'---|' * len(found)}"
    return "\n".join(["## Settings", "", head, *lines, "", *_sources(name)])


def _numbers(method: Method) -> dict[str, str]:
    weights, alphas = method.weight_optimiser, method.alpha_optimiser
    trained = not isinstance(method.architecture_gradient, Fixed)
    alone = method.epochs - alpha_epochs(method)
    clip = "" if alphas.clip is None else f", gradients clipped to {alphas.clip:g}"
    return {
        "epochs": f"{method.epochs}" + (f", {alone} of them of weights only" if alone else ""),
        "batch": str(method.batch_size),
        "weights: SGD": f"{weights.lr:g} → {weights.lr_min:g}, decay {weights.weight_decay:g}"
        + (", Nesterov" if weights.nesterov else ""),
        "alphas: Adam": f"{alphas.lr:g}, betas {alphas.betas}, decay {alphas.weight_decay:g}{clip}" if trained else "–",
        "order": method.order if trained else "–",
        "candidates left out": ", ".join(f"`{name}`" for name in method.without) or "–",
    }


def _sources(name: str) -> list[str]:
    known = runpy.run_path(str(ROOT / "benchmarks/settings.py"))["SOURCES"]
    found = [(SPACES[space], *known[name, space]) for space in ("darts", "nasbench201") if (name, space) in known]
    return [f"* Settings for {title}: {source}" for title, _, source in found]


def _needs(name: str) -> list[str]:
    needs = methods.get(name, space="").needs
    return [f"Of a network of your own it needs {'; '.join(needs)}."] if needs else []


def _use(name: str) -> str:
    return (
        f"## Using it\n\n```\narchgrad search --method {name} --space nasbench201 --data cifar10\n```\n\n"
        f'```python\narchgrad.search("nasbench201", "{name}", "cifar10")\n```'
    )


def _studies(name: str) -> list[str]:
    """The rows of measured tables that begin with the method's name."""
    found = []
    for file in STUDIES:
        for section, head, rows in _tables((ROOT / "docs" / file).read_text()):
            mine = [row for row in rows if row[0].strip("`") == name]
            if mine and "source" not in head:  # the table of settings is not measured
                lines = "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *mine])
                found.append(f"[{section}](../{file}#{_anchor(section)}):\n\n{lines}")
    caution = "What such numbers can tell, and what they cannot, is said on the pages that they come from."
    return ["## In our own studies", caution, *found] if found else []


def _tables(text: str) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """The tables of a page with the heading that each stands under."""
    section, lines = "", text.splitlines()
    for number, line in enumerate(lines):
        section = line.lstrip("# ") if line.startswith("#") else section
        if re.match(r"\|[-|: ]+\|$", line) and number and lines[number - 1].startswith("|"):
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            yield section, _cells(lines[number - 1]), rows


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split(" | ")]


def _anchor(section: str) -> str:
    return re.sub(r"[^\w]+", "-", section.lower()).strip("-")


# Components and methods


def components_page() -> str:
    """The table of methods and components, both ways round."""
    roles = list(ROLES)
    head = f"| method | {' | '.join(role.replace('_', ' ') for role in roles)} |\n|---|{'---|' * len(roles)}"
    rows = [
        f"| [{name}]({name}.md) | "
        + " | ".join(_role(methods.get(name), role).replace("`", "") for role in roles)
        + " |"
        for name in names()
    ]
    users: dict[str, list[str]] = {}
    for name in names():
        for part in {type(part).__name__ for space in SPACES for part in different(name, space)}:
            users.setdefault(part, []).append(f"[{name}]({name}.md)")
    by_component = [f"| `{part}` | {', '.join(found)} |" for part, found in sorted(users.items())]
    return "\n".join(
        [
            "---\nhide: [toc]\n---",
            "",
            "# Methods and components",
            "",
            "Every method is a composition of components, one or more for each of seven roles. The table shows where a",
            "method differs from DARTS on the DARTS space; an empty field is what DARTS has: "
            + ", ".join(_component(part) for role in ROLES for part in _parts(BASE, role))
            + ", and no modifier, regulariser or schedule. The page of a method shows its formulas, its settings for",
            "every space, and what it needs of a network.",
            "",
            head,
            *rows,
            "",
            "## By component",
            "",
            "| component | methods |",
            "|---|---|",
            *by_component,
            "",
        ]
    )


def different(name: str, space: str) -> list[Any]:
    """The components of a method that DARTS does not have."""
    method = methods.get(name, space)
    return [part for role in ROLES for part in _parts(method, role) if part not in _parts(BASE, role)]


def _parts(method: Method, role: str) -> tuple[Any, ...]:
    value = getattr(method, role)
    return value if role in SEVERAL else (value,)


def _role(method: Method, role: str) -> str:
    """What a method has for a role, where that is not what DARTS has."""
    return ", ".join(_component(part) for part in _parts(method, role) if part not in _parts(BASE, role))


def _component(part: Any) -> str:
    """A component with those of its settings that are not the usual ones."""
    given = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        usual = field.default if field.default is not dataclasses.MISSING else None
        if field.default_factory is not dataclasses.MISSING:
            usual = field.default_factory()
        if value != usual:
            given.append(f"{field.name}={_value(value)}")
    return f"`{type(part).__name__}({', '.join(given)})`" if given else f"`{type(part).__name__}`"


def _value(value: Any) -> str:
    if isinstance(value, Anneal):
        return f"{value.start:g} → {value.end:g}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _component(value).strip("`")
    return repr(value)


def _paragraphs(thing: Any) -> list[str]:
    """The docstring as Markdown, with links to papers and without its examples."""
    text = inspect.cleandoc(thing.__doc__ or "")
    text = re.sub(r"(?m)^>>> .*(?:\n.+)*", "", text).replace("``", "`")
    text = re.sub(r"\b(\d{4}\.\d{5})\b", r"[\1](https://arxiv.org/abs/\1)", text)
    return [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]


# MkDocs


def on_config(config: Any) -> Any:
    """Puts the pages into the navigation, in the section ``Reference``."""
    for section in config.nav:
        for title, entries in section.items():
            if title == "Reference":
                table = {"Methods and components": f"{FOLDER}/components.md"}
                entries.insert(1, {"The methods": [table, *({name: f"{FOLDER}/{name}.md"} for name in names())]})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages to those of the site."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


if __name__ == "__main__":
    print(page(sys.argv[1]) if len(sys.argv) > 1 else components_page())
