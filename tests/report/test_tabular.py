"""What tables say about a found cell, in the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from archgrad import report, spaces, tables
from archgrad.report.rundata import RunData
from archgrad.report.tabular import in_table
from archgrad.tables import Table
from archgrad.tables import nasbench201 as numbering

Plant = Callable[..., Path]
SPACE = spaces.get("nasbench201")


def made_up(name: str, **columns: np.ndarray) -> Table:
    """A table of all cells."""
    index = np.arange(numbering.CELLS)
    return Table(name, SPACE, numbering.cells(), index, numbering.isomorphs(), columns)


@pytest.fixture
def accuracies() -> Table:
    """A table in the data directory: the accuracy on CIFAR-10 rises with the index from 0 to 78.12."""
    rising = np.arange(numbering.CELLS) / 200
    table = made_up("bench", cifar10_test_200=rising, cifar100_test_200=rising / 2, in16_test_200=80 - rising)
    tables.save(table)
    return table


def body(directory: Path) -> str:
    section = in_table(RunData.read(directory))
    assert section is not None
    assert section.title == "In the table"
    return section.body


def found_in(directory: Path, table: Table) -> int:
    return table.row(json.loads((directory / "genotype.json").read_text())["text"])


def test_accuracy_and_rank_on_three_data_sets(plant: Plant, accuracies: Table) -> None:
    directory = plant()
    row = found_in(directory, accuracies)
    text = body(directory)
    for figure in (f"{row / 200:.2f} %", f"{row / 400:.2f} %", f"{80 - row / 200:.2f} %"):
        assert figure in text
    assert f"{15_625 - row:,} of 15,625" in text
    assert f"{row + 1:,} of 15,625" in text
    assert "78.12 %" in text
    assert "39.06 %" in text
    assert "In the table</h2>" in report.write(directory).read_text()


def test_the_curve_follows_the_cell_of_each_epoch(plant: Plant, accuracies: Table) -> None:
    directory = plant()
    records = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    cells = [0, 15_000, *[200] * (len(records) - 2)]
    for record, cell in zip(records, cells, strict=True):
        record["genotype"] = accuracies.text(cell)
    records[3]["genotype"] = "nonsense"
    (directory / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    text = body(directory)
    assert "epoch 2\nCIFAR-10  75 %\n" in text
    assert "ImageNet16-120  5 %" in text
    assert "epoch 3\nImageNet16-120  79 %\nCIFAR-10  1 %\nCIFAR-100  0.5 %" in text
    for record in records:
        record["genotype"] = None  # a rule that settles only at the end
    (directory / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert "<svg" not in body(directory)


def test_robustness_at_the_smallest_usual_strength(plant: Plant, data_directory: Path) -> None:
    some = np.linspace(10, 60, numbering.CELLS)
    names = ["clean", "pgd_eps0.1", "pgd_eps1", "pgd_eps8", "fgsm_eps3", "fgsm_eps8", "autoattack", "fog_s1", "fog_s5"]
    robust = made_up("robust", **{f"cifar10_{n}": some + i for i, n in enumerate(names)}, params_m=some)
    tables.save(robust)
    directory = plant()
    row = found_in(directory, robust)
    text = body(directory)
    assert "Robustness: robust" in text
    for label, value in {
        "clean": some[row],
        "PGD, ε = 1/255": some[row] + 2,
        "FGSM, ε = 3/255": some[row] + 4,
        "AutoAttack": some[row] + 6,
        "corruptions, mean of 2": some[row] + 7.5,
    }.items():
        assert f'<td>{label}</td><td class="number">{value:.2f} %</td>' in text
    assert "8/255" not in text
    assert f"archgrad table show {row} --table robust" in text


def test_nothing_is_said_without_a_table(plant: Plant, accuracies: Table, data_directory: Path) -> None:
    assert in_table(RunData.read(plant("darts", name="other"))) is None
    found = data_directory / "tables/bench.parquet"
    found.write_bytes(b"damaged")
    assert in_table(RunData.read(plant(name="damaged"))) is None
    found.unlink()
    (data_directory / "tables/other.csv").write_text("image,label\n1,2\n")
    (data_directory / "tables/wrong.csv").write_text("index,score\n99999999,2\n")
    assert in_table(RunData.read(plant(name="no table"))) is None


def test_a_cell_that_the_table_lacks_is_not_shown(plant: Plant, accuracies: Table, data_directory: Path) -> None:
    directory = plant()
    row = found_in(directory, accuracies)
    kept = np.arange(numbering.CELLS) != row
    part = Table(
        "bench",
        SPACE,
        accuracies.codes[kept],
        accuracies.index[kept],
        accuracies.isomorph[kept],
        {name: values[kept] for name, values in accuracies.columns.items()},
    )
    tables.save(part)
    assert in_table(RunData.read(directory)) is None


@pytest.mark.parametrize("factor", [0.01, 10])
def test_other_units_are_named_and_not_shown(plant: Plant, accuracies: Table, factor: float) -> None:
    columns = {name: values * factor for name, values in accuracies.columns.items()}
    tables.save(made_up("bench", **columns))
    text = body(plant())
    assert "The accuracies of the table bench are not in %: import it with --scale" in text
    assert "<td>" not in text


def test_the_real_tables(plant: Plant, monkeypatch: pytest.MonkeyPatch, real_data: Callable[[str], Path]) -> None:
    monkeypatch.setenv("ARCHGRAD_DATA", str(real_data("nasbench201/nasbench201.parquet").parents[1]))
    directory = plant()
    real = tables.load("nasbench201")
    value = real.value(json.loads((directory / "genotype.json").read_text())["text"], "cifar10_test_200")
    assert f"{value:.2f} %" in body(directory)
