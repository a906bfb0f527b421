"""How the trained networks of a run withstand attacks and corruptions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.figures.markup import Markup, element, join, table
from archgrad.figures.numbers import percent
from archgrad.foreign.plain import read_json_object
from archgrad.report.rundata import RunData, number
from archgrad.report.section import Section, note
from archgrad.robustness.evaluation import Attacked
from archgrad.robustness.figures import accuracy_over_radius

FILE = "robustness.json"


def robustness(data: RunData) -> Section | None:
    """Accuracy over the radius, and under corruptions; None where no network was evaluated."""
    places = {data.name: data.directory} | {training.name: training.directory for training in data.trainings}
    found: dict[str, dict[str, Any]] = {}
    notes = []
    for name, directory in places.items():
        try:
            measured = _read(directory / FILE)
        except ArchgradError as error:
            notes.append(note(f"The robustness of {name} cannot be read: {error}"))
            continue
        if measured is not None:
            found[name] = measured
    if not found and not notes:
        return None
    parts = [part for name, measured in found.items() for part in _attacks(name, measured)]
    return Section("Robustness", join(parts, _corruptions(found), notes))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    return read_json_object(path)


def _attacks(name: str, measured: Mapping[str, Any]) -> list[Markup]:
    """A chart of the attacks of a network per norm, and a table of all."""
    entries = {label: entry for label, entry in _mapping(measured, "attacks").items() if isinstance(entry, dict)}
    if not entries:
        return []
    clean = number(measured.get("clean"))
    figures = []
    if clean is not None:
        attacks = {label: _attacked(entry) for label, entry in entries.items()}
        caption = element("figcaption", f"{name}: accuracy under attack")
        figures = [element("figure", caption, chart) for chart in accuracy_over_radius(name, clean, attacks)]
    rows = [[label, *row] for label, entry in entries.items() for row in _rows(entry)]
    images = number(measured.get("images"))
    of = "" if images is None else f" of {images:,.0f} test images"
    return [
        element("div", figures, class_="pair"),
        element("p", f"{name}: clean accuracy {percent(clean)}{of}.", class_="lead"),
        table(["Attack", "Norm", "Radius", "Accuracy", "HRS"], rows, numeric=(2, 3, 4)),
    ]


def _attacked(entry: Mapping[str, Any]) -> Attacked:
    radii, accuracies = (
        tuple(value for value in map(number, entry.get(key, [])) if value is not None)
        for key in ("epsilons", "accuracies")
    )
    return Attacked("linf" if entry.get("norm") == "linf" else "l2", radii, accuracies)


def _rows(entry: Mapping[str, Any]) -> list[list[str]]:
    norm = "L∞" if entry.get("norm") == "linf" else "L2"
    factor = 255.0 if norm == "L∞" else 1.0
    columns = [entry.get(key, []) for key in ("epsilons", "accuracies", "hrs")]
    rows = []
    for radius, accuracy, score in zip(*(map(number, column) for column in columns), strict=False):
        shown = "–" if radius is None else f"{factor * radius:.3g}" + ("/255" if norm == "L∞" else "")
        rows.append([norm, shown, percent(accuracy), "–" if score is None else f"{100 * score:.2f}"])
    return rows


def _corruptions(found: Mapping[str, Mapping[str, Any]]) -> list[Markup]:
    """Mean accuracy per corruption, a column per network, and all severities of the first one."""
    measured = {name: _mapping(entry, "corruptions") for name, entry in found.items()}
    names = list(dict.fromkeys(corruption for rows in measured.values() for corruption in rows))
    if not names:
        return []
    first = next(name for name, rows in measured.items() if rows)
    severities = found[first].get("severities", [])
    head = ["Corruption", *(f"{first}, {severity}" for severity in severities), *(f"{name}, mean" for name in measured)]
    rows = []
    for corruption in names:
        values = [number(value) for value in measured[first].get(corruption, [None] * len(severities))]
        rows.append(
            [
                corruption.replace("_", " "),
                *(percent(value, 1) for value in values),
                *(percent(_mean(rows_.get(corruption, [])), 1) for rows_ in measured.values()),
            ]
        )
    errors = [f"{name} {percent(number(entry.get('corruption_error')))}" for name, entry in found.items()]
    return [
        element("p", f"Mean corruption error: {', '.join(errors)}.", class_="lead"),
        table(head, rows, numeric=range(1, len(head))),
    ]


def _mapping(measured: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = measured.get(key)
    return value if isinstance(value, dict) else {}


def _mean(values: list[Any]) -> float | None:
    numbers = [value for value in map(number, values) if value is not None]
    return sum(numbers) / len(numbers) if numbers else None
