"""Losses and metrics over the epochs, of the search and of the trainings."""

from __future__ import annotations

from typing import Any

from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Markup, details, element, join, table
from archgrad.figures.palette import legend
from archgrad.report.measure import Measure
from archgrad.report.rundata import RunData, Training, number
from archgrad.report.section import Section, note

PARTS = {
    "train": ("training part (weight step)", "series-a"),
    "validation": ("validation part (alpha step)", "series-b"),
    "evaluation": ("validation part, after the epoch", "series-c"),
}


def curves(data: RunData) -> Section | None:
    """The loss of the supernet, and the metrics that count; None for searches that train none."""
    if data.by_proxies:
        return None
    measures = [Measure(data.reading, name) for name in data.reading.measures]
    # the names of other metrics have no plural
    title = f"Losses and {'accuracies' if data.primary.label == 'accuracy' else 'metrics'}"
    known = {name for record in data.history for name in record}
    present = [part for part in PARTS if any(f"{part}_{measure.name}" in known for measure in measures)]
    if not present:
        return Section(title, note("Nothing is recorded yet (metrics.jsonl has no losses)."))
    figures, columns = [], []
    for measure in measures:
        names = {part: f"{part}_{measure.name}" for part in present if f"{part}_{measure.name}" in known}
        if not names:
            continue
        lines = [Series(PARTS[part][0], _column(data.history, name), PARTS[part][1]) for part, name in names.items()]
        caption = f"Supernet {measure.label}"
        chart = line_chart(caption, _epochs(data.history), lines, shown=measure.tick)
        figures.append(element("figure", element("figcaption", caption), chart))
        columns += [(f"{part} {measure.label}", name, measure) for part, name in names.items()]
    return Section(
        title,
        join(
            legend({PARTS[part][0]: PARTS[part][1] for part in present}),
            element("div", figures, class_="pair"),
            details("All epochs as a table", _table(data.history, columns)),
        ),
    )


def learning_curves(data: RunData) -> Section | None:
    """Loss and metric of the found network and the random ones; None without any record of a training."""
    trainings = [training for training in data.trainings if training.history]
    if not trainings:
        return None
    # A found network is drawn last, so that it lies on top.
    trainings.sort(key=lambda training: training.kind == "found")
    reading = trainings[-1].reading
    counting = [(part, reading.primary) for part in ("validation", "test")] + [("train", reading.running)]
    recorded = {name for t in trainings for record in t.history for name in record if number(record[name]) is not None}
    measured = [("train", "loss"), *[(part, name) for part, name in counting if f"{part}_{name}" in recorded][:1]]
    longest = max(trainings, key=lambda training: len(training.history))
    figures = []
    for part, name in measured:
        measure = Measure(reading, str(name))
        lines = [_line(training, f"{part}_{name}", len(longest.history)) for training in trainings]
        caption = f"{part.capitalize()} {measure.label}"
        chart = line_chart(caption, _epochs(longest.history), lines, shown=measure.tick)
        figures.append(element("figure", element("figcaption", caption), chart))
    classes = {t.kind: _colour(t) for t in reversed(trainings)}
    return Section("Learning curves", join(legend(classes), element("div", figures, class_="pair")))


def _line(training: Training, name: str, length: int) -> Series:
    values = _column(training.history, name)
    padded = [*values, *[None] * (length - len(values))]
    return Series(training.name, padded, _colour(training), thin=training.kind != "found")


def _colour(training: Training) -> str:
    return {"found": "series-found", "random": "series-random"}.get(training.kind, "series-b")


def _column(history: list[dict[str, Any]], name: str) -> list[float | None]:
    return [number(record.get(name)) for record in history]


def _epochs(history: list[dict[str, Any]]) -> list[float]:
    """The epochs as numbers from 1, as everybody counts them who looks at a chart."""
    found = [number(record.get("epoch")) for record in history]
    return [i + 1 if epoch is None else epoch + 1 for i, epoch in enumerate(found)]


def _table(history: list[dict[str, Any]], columns: list[tuple[str, str, Measure]]) -> Markup:
    def shown(value: float | None, measure: Measure) -> str:
        return "–" if value is None else measure.written(value) if measure.name != "loss" else f"{value:.4f}"

    rows = [
        [f"{epoch:.0f}", *(shown(number(record.get(name)), measure) for _, name, measure in columns)]
        for epoch, record in zip(_epochs(history), history, strict=True)
    ]
    header = ["Epoch", *(label for label, _, _ in columns)]
    return table(header, rows, numeric=range(len(header)))
