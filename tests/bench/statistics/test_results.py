"""Results: one form, kept exactly, never mixed up."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from planted import planted

from archgrad import spaces
from archgrad.bench.protocol.lookup import from_table
from archgrad.bench.statistics import results as module
from archgrad.bench.statistics.results import Result, Results, thinned
from archgrad.errors import ArchgradError
from archgrad.tables import Table
from archgrad.tasks import Reading


def test_published_runs_have_our_names(published: Results) -> None:
    assert len(published) == 567
    assert sorted(published.frame.method.unique()) == [
        "darts", "drnas", "fair_darts", "gdas", "oles", "pc_darts", "sdarts_random",
    ]  # fmt: skip
    assert published.settings["6"] == "lr 0.1, wd 1e-3"
    row = published.frame.query("method == 'darts' and benchmark == 'deep-all_skip' and setting == '9'").iloc[0]
    assert (row.score, row.top5) == pytest.approx((77.6, 98.79))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_saved_results_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    units = [
        Result("darts", "wide-regular", "1", 2, score=91.25, genotype="|skip~0|", extra={"skips": 0.5}),
        Result("random", "wide-regular", "10"),
    ]
    stored = Results.of(units, title="T", settings={"1": "lr 0.1"}, remarks=("careful",))
    again = Results.load(stored.save(tmp_path / f"r{suffix}"))
    assert again.frame.equals(stored.frame)
    assert again.extras()[0] == {"skips": 0.5}
    if suffix == ".parquet":
        assert (again.title, again.settings, again.remarks) == ("T", {"1": "lr 0.1"}, ("careful",))
    assert [path.name for path in tmp_path.iterdir()] == [f"r{suffix}"]


def test_merging_twice_changes_nothing() -> None:
    every = planted(np.arange(12.0).reshape(3, 2, 2))
    parts = [every.only(method="a"), every.only(method=["b", "c"]), every.only(benchmark="bench 1")]
    once = parts[0].merged(*parts[1:])
    assert once.frame.equals(every.frame)
    assert once.merged(*parts, once).frame.equals(every.frame)


def test_a_unit_that_failed_gives_way_and_one_that_differs_is_refused() -> None:
    failed, done = (Results.of([Result("a", "b", "1", score=score)]) for score in (math.nan, 90.0))
    assert failed.merged(done).frame.score.tolist() == [90.0]
    assert done.merged(failed).frame.score.tolist() == [90.0]
    other = Results.of([Result("a", "b", "1", score=90.1)])
    with pytest.raises(ArchgradError, match=r"method a, benchmark b, setting 1, seed 0.*different scores"):
        done.merged(other)


def test_mistakes_are_named(tmp_path: Path) -> None:
    unit = Result("a", "b", "1", score=1.0)
    with pytest.raises(ArchgradError, match=r"method a.* is there more than once"):
        Results.of([unit, unit])
    with pytest.raises(ArchgradError, match="unknown column of results 'scores': did you mean 'score'"):
        Results.of([{"method": "a", "benchmark": "b", "setting": "1", "scores": 1.0}])
    with pytest.raises(ArchgradError, match="unknown method 'dart': did you mean 'darts'"):
        Results.of([Result("darts", "b", "1")]).only(method="dart")
    with pytest.raises(ArchgradError, match="infinite"):
        Results.of([Result("a", "b", "1", score=math.inf)])
    (tmp_path / "r.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(ArchgradError, match=r"r\.parquet: cannot be read as parquet"):
        Results.load(tmp_path / "r.parquet")
    (tmp_path / "r.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ArchgradError, match="need a column 'method'"):
        Results.load(tmp_path / "r.csv")
    with pytest.raises(ArchgradError, match="no such file"):
        Results.load(tmp_path / "none.parquet")
    with pytest.raises(ArchgradError, match="two columns have the name 'score'"):
        Results(pd.DataFrame([["a", "b", "1", 1.0, 2.0]], columns=["method", "benchmark", "setting", "score", "score"]))
    for seed in (0.5, 1e30):
        with pytest.raises(ArchgradError, match="'seed' must hold whole numbers"):
            Results.of([{"method": "a", "benchmark": "b", "setting": "1", "score": 1.0, "seed": seed}])


@pytest.mark.parametrize(
    "about",
    [
        b"5", b"[]", b"not json", b"[" * 100_000,
        b'{"title": 5, "settings": [1], "remarks": 7, "reading": "x", "frame": 1, "colour": "red"}',
    ],
)  # fmt: skip
def test_metadata_of_another_program_are_passed_over_or_refused_in_one_line(tmp_path: Path, about: bytes) -> None:
    stored = Results.of([Result("a", "b", "1", score=1.0)])
    table = pq.read_table(stored.save(tmp_path / "r.parquet"))
    pq.write_table(table.replace_schema_metadata({b"archgrad": about, b"pandas": b"{"}), tmp_path / "f.parquet")
    if about.startswith(b"{"):
        assert Results.load(tmp_path / "f.parquet").frame.equals(stored.frame)
    else:
        with pytest.raises(ArchgradError, match=r"its archgrad metadata: .+"):
            Results.load(tmp_path / "f.parquet")


def test_no_cell_of_a_csv_file_is_a_formula_and_all_come_back(tmp_path: Path) -> None:
    units = [Result(name, "+b", "-1", score=-1.5) for name in ("=1+2", "@x", "'=y", "plain")]
    stored = Results.of(units)
    path = stored.save(tmp_path / "r.csv")
    cells = [cell for row in csv.reader(path.open()) for cell in row]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "@") or (cell[:1] == "-" and cell != "-1.5")]
    again = Results.load(path)
    assert sorted(again.frame.method) == sorted(stored.frame.method)
    assert set(again.frame.benchmark) == {"+b"}
    assert set(again.frame.score) == {-1.5}


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = planted(np.zeros((1, 1, 1))).save(tmp_path / "r.parquet")
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ArchgradError, match="No space left"):
        planted(np.ones((2, 2, 2))).save(path)
    assert path.read_bytes() == before


def test_a_curve_keeps_its_ends() -> None:
    assert thinned([3.0, 2.0]) == {"x": [1, 2], "y": [3.0, 2.0]}
    long = thinned(list(range(300)))
    assert (len(long["x"]), long["x"][0], long["x"][-1], long["y"][-1]) == (module.POINTS, 1, 300, 299.0)
    assert thinned([]) == {"x": [], "y": []}
    assert thinned([None, 0.5, math.nan, 1.0]) == {"x": [2, 4], "y": [0.5, 1.0]}, "epochs that measured nothing"


def test_scores_from_a_table() -> None:
    space = spaces.get("nasbench201")
    count = lambda g: float(space.format(g).count("skip_connect"))  # noqa: E731
    table = Table.of(space, {"cifar10_test_12": count, "cifar10_test_200": lambda g: 2 * count(g)})
    found = [("darts", 0, "|skip_connect~0|+|skip_connect~0|none~1|+|none~0|none~1|none~2|"), ("random", 3, 7)]
    results = from_table(table, {"cifar10": "cifar10_test_{setting}"}, found, settings=("12", "200"))
    assert len(results) == 4
    darts = results.only(method="darts").frame
    assert dict(zip(darts.setting, darts.score, strict=True)) == {"12": 2.0, "200": 4.0}
    assert results.only(method="random").frame.seed.unique().tolist() == [3]
    with pytest.raises(ArchgradError, match="unknown metric"):
        from_table(table, ["cifar10_tset_12"], found)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_says_which_way_its_scores_go(tmp_path: Path, suffix: str) -> None:
    reading = Reading("Regression", "mean_absolute_error", False, None, (), {"mean_absolute_error": "MAE"})
    rows = [Result("a", "b", "1", score=0.5), Result("c", "b", "1", score=0.25)]
    errors = Results.of(rows, primary="test MAE", reading=reading)
    again = Results.load(errors.save(tmp_path / f"errors{suffix}"))
    assert (again.reading, again.primary) == (reading, "test MAE")
    assert again.merit.tolist() == [-0.5, -0.25]
    assert len(errors.merged(again)) == 2
    with pytest.raises(ArchgradError, match="cannot be compared"):
        again.merged(Results.of(rows))
