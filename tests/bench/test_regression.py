"""Scores of which less is better: a whole campaign, and statistics that know the direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import planted

from archgrad.bench import Campaign
from archgrad.bench.protocol.collect import write_results
from archgrad.bench.protocol.driver import run
from archgrad.bench.protocol.unit import completed
from archgrad.bench.report import page, tables
from archgrad.bench.statistics.analysis import analyse
from archgrad.bench.statistics.results import Results
from archgrad.errors import ArchgradError
from archgrad.foreign.code import trusting
from archgrad.tasks import Regression

READING = Regression().reading


def test_a_campaign_on_numbers(make: Callable[..., Campaign], tiny: Any, Inline: Any, tmp_path: Path) -> None:
    tiny["data"] = {"name": "planted_regression:brightness"}
    tiny["training"]["lr"] = [0.001, 0.002]
    campaign = make(suite=tiny, methods=["darts", "random_search"], seeds=1)
    with trusting():
        run(campaign, Inline(), progress=False, say=lambda line: None)
    found = Results.load(write_results(campaign))
    assert found.primary == "test RMSE"
    assert found.reading == READING
    assert found.frame.top5.isna().all()
    for unit, record in campaign.store.records().items():
        if record["setting"]:
            whole = completed(campaign.directory / unit)
            assert record["score"] == whole["score"] < 3
    written, _ = page.write(found, tmp_path / "report.html", resamples=100)
    assert "accura" not in written.read_text().lower()
    cells = tables.cells(analyse(found, resamples=100))
    best = cells.loc[cells.groupby("setting")["mean"].idxmin()]
    assert (best["rank"] <= 1.5).all()


def test_less_is_better_is_more_is_better_of_the_negated_scores() -> None:
    means = np.array([[[3.0, 2.0], [3.5, 3.1]], [[1.0, 1.5], [1.2, 1.1]], [[2.0, 2.5], [2.2, 2.6]]])
    more = planted(-means, noise=0.1, searches=4)
    less = replace(more, frame=more.frame.assign(score=-more.frame.score), reading=READING, primary="test RMSE")
    a, b = analyse(more, resamples=200), analyse(less, resamples=200)
    assert b.ranks.methods == a.ranks.methods == ("b", "c", "a")
    assert repr(b.pairs) == repr(a.pairs)  # some numbers are NaN
    assert b.power == a.power
    np.testing.assert_array_equal(b.best_settings, a.best_settings)
    for name in ("mean", "best"):
        np.testing.assert_array_equal(tables.benchmarks(b)[name], -tables.benchmarks(a)[name])
    whole = {found.name: found for found in b.aggregates}
    other = {found.name: found for found in a.aggregates}
    np.testing.assert_array_equal(whole["Mean"].low, -other["Mean"].high)
    np.testing.assert_array_equal(whole["IQM"].values, other["IQM"].values)
    assert whole["Mean"].lower_is_better
    assert r"\mathbf{1.2" in tables.latex_tables(b)["rmse"]
    assert "points" not in page.render(b)


def test_the_direction_is_kept_with_the_results_and_not_mixed(tmp_path: Path) -> None:
    more = planted(np.ones((2, 2, 1)))
    less = replace(more, reading=READING, primary="test RMSE")
    assert Results.load(less.save(tmp_path / "less.parquet")).reading == READING
    with pytest.raises(ArchgradError, match="merge: test accuracy, % and test RMSE cannot be compared"):
        more.merged(less)
