"""What tabular benchmarks in the user's data directory know about the found cell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archgrad.errors import ArchgradError
from archgrad.figures.axes import NARROW, by_width
from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Markup, element, join, table
from archgrad.figures.palette import legend
from archgrad.genotype import Genotype
from archgrad.report.rundata import RunData
from archgrad.report.section import Section, note

if TYPE_CHECKING:
    from archgrad.tables import Table

SPACE = "nasbench201"
DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "in16": "ImageNet16-120"}
COLOURS = {"cifar10": "series-a", "cifar100": "series-b", "in16": "series-c"}
ATTACKS = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "aa_apgd-ce": "APGD-CE",
    "aa_square": "Square attack",
    "autoattack": "AutoAttack",
}


def in_table(data: RunData) -> Section | None:
    """The found cell's measured accuracy and robustness; None for other spaces, and where there is no table."""
    if data.space != SPACE or data.genotype is None:
        return None
    parts = []
    for known in sorted(_tables(), key=lambda known: "cifar10_test_200" not in known.columns):
        try:
            row = known.find(data.genotype)
        except ArchgradError:  # a genotype of a damaged run
            return None
        if row is not None:
            parts += [*_accuracy(known, row, data), *_robustness(known, row)]
    return Section("In the table", join(parts)) if parts else None


def known_accuracy(text: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a table in the data directory knows of a cell: its test accuracy after 200 epochs, and its place by it.

    On the data of the run where the table has them, else on CIFAR-10.
    """
    if config.get("space") != SPACE:
        return None
    for known in _tables():
        columns = [f"{name}_test_200" for name in (str(config.get("data")), "cifar10")]
        metric = next((column for column in columns if column in known.columns), None)
        row = _cell(known, text)
        if metric is not None and row is not None and _in_percent(known, [metric]):
            standing = known.standing(int(known.index[row]), metric)
            return {"table": known.name, "metric": metric, **standing._asdict()}
    return None


def _tables() -> Iterator[Table]:
    """The tables of this space; files that are no table of it, or damaged, are not there."""
    from archgrad import tables  # which the pages of other spaces do without

    for path in tables.available().values():
        try:
            if _may_be_table(path) and (found := tables.load(path)).space.name == SPACE:
                yield found
        except ArchgradError:
            continue


def _may_be_table(path: Path) -> bool:
    """Whether the names of its columns are those of a table: a data directory holds large files of images, too."""
    import pyarrow as pa
    import pyarrow.parquet

    from archgrad.tables.files import KEYS

    try:
        if path.suffix == ".parquet":
            names = pa.parquet.read_schema(path).names
        else:
            with path.open() as file:
                names = file.readline(100_000).strip().split(",")
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return False
    return not set(KEYS).isdisjoint(names)


def _accuracy(known: Table, row: int, data: RunData) -> list[Markup]:
    columns = {name: f"{name}_test_200" for name in DATASETS if f"{name}_test_200" in known.columns}
    if not columns:
        return []
    if not _in_percent(known, columns.values()):
        return [_unscaled(known)]
    found = known.show(int(known.index[row]), columns.values())
    rows = [
        [
            DATASETS[name],
            f"{standing.value:.2f} %",
            f"{standing.rank:,} of {standing.of:,}",
            f"{standing.percentile:.1f}",
            f"{known.best(column)[0].value:.2f} %",
            f"{np.nanmean(known.values(column)):.2f} %",
        ]
        for name, column in columns.items()
        if (standing := found.get(column)) is not None
    ]
    if not rows:
        return []
    header = ["Data set", "Test accuracy", "Rank", "Percentile", "Best cell", "Mean of all cells"]
    lead = f"Trained for 200 epochs by the authors of the benchmark (table {known.name})."
    return [element("p", lead, class_="lead"), table(header, rows, numeric=range(1, 6)), _curve(known, columns, data)]


def _curve(known: Table, columns: dict[str, str], data: RunData) -> Markup:
    """The accuracy of the cell that would have been found after every epoch."""
    cells = [_cell(known, record.get("genotype")) for record in data.history]
    if sum(cell is not None for cell in cells) < 2:
        return Markup()
    lines = []
    for name, column in columns.items():
        values = known.values(column)
        points = [None if cell is None or np.isnan(values[cell]) else float(values[cell]) for cell in cells]
        lines.append(Series(DATASETS[name], points, COLOURS[name]))
    which = "every cell, as they were scored" if data.by_proxies else "the cell that would be found after each epoch"
    caption = f"Test accuracy in the table of {which}"
    charts = [
        line_chart(caption, range(1, len(cells) + 1), lines, x_name=data.counted, shown=_percent, size=size)
        for size in ((940, 260), (NARROW, 220))
    ]
    colours = {DATASETS[name]: COLOURS[name] for name in columns}
    return element("figure", element("figcaption", caption), legend(colours), by_width(*charts))


def _percent(value: float) -> str:
    return f"{value:.4g} %"


def _cell(known: Table, text: object) -> int | None:
    """The row of a genotype as the records of a run hold it."""
    try:
        found: Genotype = known.space.parse(str(text))
        return known.find(found)
    except ArchgradError:
        return None


def _robustness(known: Table, row: int) -> list[Markup]:
    measures = {name: _measures(known, name) for name in DATASETS}
    columns = [column for chosen in measures.values() for column in chosen]
    if not columns:
        return []
    if not _in_percent(known, columns):
        return [_unscaled(known)]
    found = known.show(int(known.index[row]), columns)
    rows = [
        [
            DATASETS[name],
            label,
            f"{found[column].value:.2f} %",
            f"{found[column].rank:,} of {found[column].of:,}",
            f"{found[column].percentile:.1f}",
        ]
        for name, chosen in measures.items()
        for column, label in chosen.items()
        if column in found
    ]
    if not rows:
        return []
    more = f"archgrad table show {known.index[row]} --table {known.name}"
    return [
        element("h3", f"Robustness: {known.name}"),
        table(["Data set", "Images", "Accuracy", "Rank", "Percentile"], rows, numeric=(2, 3, 4)),
        note("All values: ", element("code", more)),
    ]


def _measures(known: Table, dataset: str) -> dict[str, str]:
    """Column, or pattern of columns → its name: clean, every attack at its smallest ε ≥ 1/255, all corruptions."""
    from archgrad.tables import Column

    strengths: dict[str, list[tuple[float, str]]] = {}
    severities = 0
    for column in known.columns:
        parts = Column.parse(column)
        if parts.dataset == dataset and parts.metric in ATTACKS:
            epsilon = float((parts.fidelity or "eps0").removeprefix("eps"))
            strengths.setdefault(parts.metric, []).append((epsilon, column))
        severities += parts.dataset == dataset and (parts.fidelity or "").startswith("s")
    if not strengths and not severities:
        return {}
    chosen = {f"{dataset}_clean": "clean"} if f"{dataset}_clean" in known.columns else {}
    for attack, name in ATTACKS.items():
        if attack in strengths:
            epsilon, column = min(strengths[attack], key=lambda found: (0 < found[0] < 1, found))
            chosen[column] = f"{name}, ε = {epsilon:g}/255" if epsilon else name
    if severities:
        chosen[f"{dataset}_*_s?"] = f"corruptions, mean of {severities}"
    return chosen


def _in_percent(known: Table, columns: Iterable[str]) -> bool:
    highest = [float(np.nanmax(known.values(column))) for column in columns]
    return all(1 < value <= 100 for value in highest)


def _unscaled(known: Table) -> Markup:
    return note(f"The accuracies of the table {known.name} are not in %: import it with --scale to see them here.")
