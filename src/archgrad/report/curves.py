"""Losses and accuracies over the epochs, of the search and of the trainings."""

from __future__ import annotations

from typing import Any

from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Markup, details, element, join, table
from archgrad.figures.numbers import percent, plain, share
from archgrad.figures.palette import legend
from archgrad.report.rundata import RunData, Training, number
from archgrad.report.section import Section, note

PARTS = {
    "train": ("training part (weight step)", "series-a"),
    "validation": ("validation part (alpha step)", "series-b"),
    "evaluation": ("validation part, after the epoch", "series-c"),
}


def curves(data: RunData) -> Section:
    """Loss and accuracy of the supernet."""
    title = "Losses and accuracies"
    present = [part for part in PARTS if any(f"{part}_{m}" in r for r in data.history for m in ("loss", "accuracy"))]
    if not present:
        return Section(title, note("No losses or accuracies are recorded yet (metrics.jsonl has none)."))
    figures = []
    for measure, shown in (("loss", plain), ("accuracy", share)):
        lines = [Series(PARTS[part][0], _column(data.history, f"{part}_{measure}"), PARTS[part][1]) for part in present]
        figures.append(
            element(
                "figure",
                element("figcaption", f"Supernet {measure}"),
                line_chart(f"Supernet {measure}", _epochs(data.history), lines, shown=shown),
            )
        )
    columns = [f"{part}_{measure}" for measure in ("loss", "accuracy") for part in present]
    return Section(
        title,
        join(
            legend({PARTS[part][0]: PARTS[part][1] for part in present}),
            element("div", figures, class_="pair"),
            details("All epochs as a table", _table(data.history, columns)),
        ),
    )


def learning_curves(data: RunData) -> Section | None:
    """Loss and accuracy of the found network and the random ones; None without any record of a training."""
    trainings = [training for training in data.trainings if training.history]
    if not trainings:
        return None
    # A found network is drawn last, so that it lies on top.
    trainings.sort(key=lambda training: training.kind == "found")
    held_out = [
        name
        for name in ("validation_accuracy", "test_accuracy")
        if any(number(r.get(name)) is not None for t in trainings for r in t.history)
    ]
    measured = ["train_loss", *(held_out[:1] or ["train_accuracy"])]
    longest = max(trainings, key=lambda training: len(training.history))
    figures = []
    for name in measured:
        shown = plain if name == "train_loss" else share
        lines = [_line(training, name, len(longest.history)) for training in trainings]
        caption = name.replace("_", " ").capitalize()
        chart = line_chart(caption, _epochs(longest.history), lines, shown=shown)
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


def _table(history: list[dict[str, Any]], columns: list[str]) -> Markup:
    def shown(record: dict[str, Any], column: str) -> str:
        value = number(record.get(column))
        return "–" if value is None else percent(value) if column.endswith("accuracy") else f"{value:.4f}"

    rows = [
        [f"{epoch:.0f}", *(shown(record, column) for column in columns)]
        for epoch, record in zip(_epochs(history), history, strict=True)
    ]
    header = ["Epoch", *(column.replace("_", " ") for column in columns)]
    return table(header, rows, numeric=range(len(header)))
