"""The top of the page: what was found, and the numbers that matter."""

from __future__ import annotations

import statistics

from archgrad.figures.markup import Markup, element, join
from archgrad.figures.numbers import count, duration
from archgrad.report.comparison import ordinal
from archgrad.report.rundata import RunData, number
from archgrad.report.section import Section, note, tile


def headline(data: RunData) -> Section:
    """The found architecture and its figures."""
    undecided = data.result.get("undecided")
    measure, standing = data.primary, data.standing
    verdict = standing.verdict(f"test {measure.label}", measure.written) if standing else None
    parts = [
        element("p", verdict, class_="verdict") if verdict else None,
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
    if (standing := data.standing) and data.found and (score := data.found.score) is not None:
        tiles.append(tile(f"Test {measure.label}", measure.written(score), "of the found architecture"))
        if (searches := len(standing.found)) > 1:
            mean = measure.mean(standing.found_mean, statistics.stdev(standing.found))
            tiles.append(tile("Found by all searches", mean, f"{searches} searches, this one among them"))
        tiles += [
            tile(
                "Random genotypes",
                measure.mean(standing.mean, standing.std),
                f"best {measure.written(standing.best)}",
            ),
            tile(
                "Rank",
                f"{ordinal(standing.rank(score))} of {len(standing.random) + 1}",
                f"percentile {standing.percentile(score):.0f} of the random ones",
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
    if (time := seconds(data)) is not None:
        tiles.append(tile("Search time", duration(time), _length(data)))
    return element("dl", tiles, class_="tiles") if tiles else note("There are no results yet.")


def _length(data: RunData) -> str:
    """How long the search is, in what it counts."""
    if data.by_proxies:
        return f"{len(data.history)} architecture{'s' if len(data.history) != 1 else ''} scored"
    epochs = number(data.result.get("epochs")) or len(data.history)
    return f"{epochs:.0f} epoch{'s' if epochs != 1 else ''}"


def _notes(data: RunData) -> list[Markup]:
    notes = []
    if not data.finished:
        of = f" of {data.planned:.0f}" if data.planned else ""
        what = "architectures are scored" if data.by_proxies else "epochs are recorded"
        notes.append(note(f"The search has not finished ({len(data.history)}{of} {what}): this is what is there."))
    if reason := data.result.get("stopped"):
        notes.append(note(f"The search stopped early: {reason}"))
    notes += [note(f"Damaged: {problem}") for problem in data.problems.values()]
    notes += [note(f"Damaged: {problem}") for training in data.trainings for problem in training.problems.values()]
    return notes


def _last(data: RunData, name: str) -> float | None:
    return next((value for record in reversed(data.history) if (value := number(record.get(name))) is not None), None)
