"""The top of the page: what was found, and the numbers that matter."""

from __future__ import annotations

from archgrad.figures.markup import Markup, element, join
from archgrad.figures.numbers import count, duration
from archgrad.report.comparison import AmongRandom, ordinal
from archgrad.report.rundata import RunData, number
from archgrad.report.section import Section, note, tile


def headline(data: RunData) -> Section:
    """The found architecture and its figures."""
    undecided = data.result.get("undecided")
    parts = [
        note(undecided) if isinstance(undecided, str) else None,
        _tiles(data),
        element("pre", element("code", data.text), class_="genotype", tabindex="0") if data.text else None,
        *_notes(data),
    ]
    return Section("Result", join(parts))


def seconds(data: RunData) -> float | None:
    """The time of the search so far; the records of a run count it from its start."""
    result = number(data.result.get("seconds"))
    return number(data.history[-1].get("seconds")) if result is None and data.history else result


def _tiles(data: RunData) -> Markup:
    tiles, measure = [], data.primary
    if standing := AmongRandom.of(data):
        tiles += [
            tile(f"Test {measure.label}", measure.written(standing.found), "of the found architecture"),
            tile(
                "Random genotypes",
                measure.mean(standing.mean, standing.std),
                f"best {measure.written(standing.best)}",
            ),
            tile(
                "Rank",
                f"{ordinal(standing.rank)} of {standing.size}",
                f"percentile {standing.percentile:.0f} of the random ones",
            ),
        ]
    elif data.found:
        tiles.append(tile(f"Test {measure.label}", measure.written(data.found.score), "of the found architecture"))
    if (score := _last(data, f"evaluation_{measure.name}")) is not None:
        tiles.append(
            tile(f"Supernet {measure.label}", measure.written(score), "on the validation part, after the search")
        )
    for name, shown in (("parameters", "Parameters"), ("flops", "FLOPs")):
        value = data.found.value(name) if data.found else None
        value, of = (
            (value, "of the network as trained")
            if value is not None
            else (number(data.result.get(name)), "at the size of the search")
        )
        if value is not None:
            tiles.append(tile(shown, count(value), of))
    epochs = number(data.result.get("epochs")) or len(data.history)
    if (time := seconds(data)) is not None:
        tiles.append(tile("Search time", duration(time), f"{epochs:.0f} epoch{'s' if epochs != 1 else ''}"))
    return element("dl", tiles, class_="tiles") if tiles else note("There are no results yet.")


def _notes(data: RunData) -> list[Markup]:
    notes = []
    if not data.finished:
        of = f" of {data.planned_epochs:.0f}" if data.planned_epochs else ""
        notes.append(
            note(f"The search has not finished ({len(data.history)}{of} epochs are recorded): this is what is there.")
        )
    if reason := data.result.get("stopped"):
        notes.append(note(f"The search stopped early: {reason}"))
    notes += [note(f"Damaged: {problem}") for problem in data.problems.values()]
    notes += [note(f"Damaged: {problem}") for training in data.trainings for problem in training.problems.values()]
    return notes


def _last(data: RunData, name: str) -> float | None:
    return next((value for record in reversed(data.history) if (value := number(record.get(name))) is not None), None)
