"""Every number that docs/published-benchsuite.md tells is what the analysis finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from archgrad.bench.report import tables
from archgrad.bench.statistics import Analysis, analyse, smallest_p
from archgrad.bench.statistics.results import Results

PAGE = Path(__file__).resolve().parents[3] / "docs" / "published-benchsuite.md"


@pytest.fixture(scope="module")
def text() -> str:
    return " ".join(PAGE.read_text().split())


@pytest.fixture(scope="module")
def analysis(published: Results) -> Analysis:
    return analyse(published)


def test_the_table_of_ranks(analysis: Analysis, text: str) -> None:
    for row in tables.ranks(analysis).itertuples(index=False):
        method, mean, low, high, best, best_low, best_high, score = row
        ranks = f"{mean:.2f} | {low:.2f}–{high:.2f} | {best:.2f} | {best_low:.2f}–{best_high:.2f}"
        assert f"| {method} | {ranks} | {score:.2f} |" in text


def test_what_they_show(analysis: Analysis, text: str) -> None:
    test, of_best, spread = analysis.ranks.friedman, analysis.ranks_of_best.friedman, analysis.spread
    assert test is not None
    assert of_best is not None
    assert f"χ² = {test.chi2:.2f}, p = {test.p:.3f} (by the best setting p = {of_best.p:.3f})" in text
    larger = spread.setting_deviation > spread.method_deviation
    assert f"On {larger.sum()} of 9 benchmarks the means of the settings differ more" in text
    ranges = [f"{x.min():.2f}–{x.max():.2f}" for x in (spread.setting_deviation, spread.method_deviation)]
    assert f"deviation {ranges[0]} points) than the means of the methods ({ranges[1]})" in text
    assert [n for n, x in zip(spread.benchmarks, larger, strict=True) if not x] == [
        "single_cell-no_skip",
        "single_cell-regular",
    ]
    method, setting = (np.median(spread.shares[:, c]) for c in (0, 2))
    shares = f"{100 * setting:.0f} % of the variance and the method for {100 * method:.0f} %"
    assert f"On the median benchmark the setting accounts for {shares}" in text
    winners = [set(analysis.cube.cells[:, b].argmax(0)) for b in range(9)]
    assert f"only {sum(len(w) == 1 for w in winners)} of 9 benchmarks have the same winner in all nine settings" in text
    top = [analysis.results.settings[name] for name in analysis.cube.settings].index("lr 0.1, wd 1e-3")
    best = analysis.cube.cells.argmax(-1) == top
    assert (best.sum(1).min(), best.all(0).sum()) == (6, 3), "for each method on at least 6, for all seven on 3"
    darts = tables.benchmarks(analysis).query("method == 'darts'")
    assert (darts["rank"] == 7).sum() == 3, "last on three"
    assert darts[darts["rank"] == 1].benchmark.tolist() == ["deep-all_skip"]


def test_agreement(analysis: Analysis, text: str) -> None:
    found = analysis.benchmarks
    off = found.tau[np.triu_indices(9, 1)]
    names = [tuple(found.names[i] for i in pair) for pair in found.extremes or ()]
    assert f"agree with τ = {found.average:.2f} on average, from −{-off.min():.2f}" in text
    assert names == [("deep-no_skip", "wide-all_skip"), ("deep-no_skip", "deep-regular")]
    assert f"to {off.max():.2f} (`deep-no_skip` and `deep-regular`); {(off < 0).sum()} of 36 pairs are negative" in text
    low, high = found.low[np.triu_indices(9, 1)], found.high[np.triu_indices(9, 1)]
    assert f"for {((low < 0) & (high > 0)).sum()} of 36 pairs of benchmarks" in text
    settings = analysis.settings
    least = (settings.extremes or ((0, 0), (0, 0)))[0]
    assert [settings.names[i] for i in least] == ["6", "9"]
    assert f"τ = {settings.average:.2f} on average" in text
    assert f"have {settings.tau[least]:.2f}. Still" in text


def test_what_they_cannot_show(analysis: Analysis, published: Results, text: str) -> None:
    assert f"multiplies it by 21: {analysis.smallest_p:.3f}" in text
    clearest = min(analysis.pairs, key=lambda pair: pair.p_benchmarks)
    assert (clearest.first, clearest.second, clearest.wins) == ("gdas", "sdarts_random", 9)
    assert (smallest_p(9, 21) > 0.05, smallest_p(10, 21) < 0.05) == (True, True), "Ten benchmarks"
    apart = np.argwhere(np.triu(analysis.ranks.nemenyi < 0.05)).tolist()
    assert [[analysis.ranks.methods[i] for i in pair] for pair in apart] == [["drnas", "sdarts_random"]]
    assert f"(p = {analysis.ranks.nemenyi[0, 6]:.3f})" in text
    assert f"call {sum(p.p_cells < 0.05 for p in analysis.pairs)} of 21 pairs significant" in text
    sound = published.only(method=["darts", "drnas", "oles", "pc_darts", "fair_darts"])
    five = analyse(sound, resamples=100)
    test, of_best = five.ranks.friedman, five.ranks_of_best.friedman
    assert test is not None
    assert of_best is not None
    assert f"(Friedman's p is {test.p:.3f}), by the best setting they do ({of_best.p:.3f})" in text
    (clear,) = tables.nemenyi(five).query("p_best < 0.05").to_dict("records")
    assert (clear["first"], clear["second"], f"{clear['p_best']:.3f}") == ("pc_darts", "darts", "0.003")
    best = tables.nemenyi(analysis).query("p_best < 0.05").sort_values("p_best")
    assert [(*row[:2], f"{row[3]:.3f}") for row in best.itertuples(index=False)] == [
        ("pc_darts", "sdarts_random", "0.006"), ("pc_darts", "darts", "0.026"), ("drnas", "sdarts_random", "0.037"),
    ]  # fmt: skip


def test_what_it_would_take(analysis: Analysis, text: str) -> None:
    half = {top.scope: top.assumed[3] for top in analysis.power}
    told = (half["deep-no_skip"], half["wide-regular"], half["deep-all_skip"], half["single_cell-all_skip"])
    assert told == (3, 27, 980, 9813)
    assert (half["all"], analysis.power[0].assumed[4]) == (3, 6)
    assert f"are {analysis.power[0].difference:.2f} points apart in the mean" in text
    single = [top.difference for top in analysis.power[1:]]
    assert f"{min(single):.2f} to {max(single):.2f} points apart" in text
