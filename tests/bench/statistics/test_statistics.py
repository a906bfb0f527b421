"""Statistics against the published runs, scipy, scikit-posthocs, statsmodels, closed forms and planted campaigns."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import planted
from scipy import stats

from archgrad.bench import statistics as s
from archgrad.bench.report.page import render
from archgrad.bench.statistics.agreement import same_ranking
from archgrad.bench.statistics.power_analysis import power
from archgrad.bench.statistics.results import Result, Results
from archgrad.errors import ArchgradError

# Published runs


def test_published_average_ranks(published: Results) -> None:
    analysis = s.analyse(published, resamples=200)
    by_mean = dict(zip(analysis.ranks.methods, analysis.ranks.average.round(2).tolist(), strict=True))
    assert by_mean == {
        "drnas": 2.67, "gdas": 2.78, "pc_darts": 3.11, "oles": 3.89, "fair_darts": 4.78, "darts": 5.0,
        "sdarts_random": 5.78,
    }  # fmt: skip
    assert list(by_mean) == list(analysis.cube.methods)
    by_best = dict(zip(analysis.ranks_of_best.methods, analysis.ranks_of_best.average.round(2).tolist(), strict=True))
    assert next(iter(by_best.items())) == ("pc_darts", 2.33)
    assert list(by_best.items())[-1] == ("sdarts_random", 6.0)


def test_published_cells_and_best_settings(published: Results) -> None:
    analysis = s.analyse(published, resamples=200)
    cube = analysis.cube
    m, wide = cube.methods.index("darts"), cube.benchmarks.index("wide-regular")
    assert cube.cells[m, wide].mean() == pytest.approx(87.63, abs=0.005)
    assert cube.cells[m, wide].std(ddof=1) == pytest.approx(2.32, abs=0.005)
    assert cube.cells[m, cube.benchmarks.index("single_cell-no_skip")].mean() == pytest.approx(72.00, abs=0.005)
    best = dict(zip((published.settings[name] for name in cube.settings), analysis.best_settings, strict=True))
    assert (best["lr 0.1, wd 1e-3"], analysis.best_of) == (53, 63)


def test_what_the_published_runs_cannot_show(published: Results) -> None:
    analysis = s.analyse(published, resamples=200)
    assert analysis.intervals_over == "benchmarks"
    assert analysis.smallest_p == pytest.approx(21 / 256)
    assert min(pair.p_benchmarks for pair in analysis.pairs) >= analysis.smallest_p > 0.05
    assert all(math.isnan(pair.p_searches) and math.isnan(pair.hedges_g) for pair in analysis.pairs)
    assert sum(pair.p_cells < 0.05 for pair in analysis.pairs) >= 10, "81 dependent cells look like evidence"
    assert any("noise of a search and of a training is unknown" in remark for remark in analysis.remarks)


# Ranks and tests


@pytest.mark.parametrize("decimals", [6, 0])
def test_friedman_and_nemenyi_agree_with_the_libraries(decimals: int) -> None:
    posthocs = pytest.importorskip("scikit_posthocs")
    blocks = np.random.default_rng(1).normal(size=(12, 5)).round(decimals) + np.arange(5) * 0.4
    blocks = blocks.round(decimals)
    found = s.friedman(blocks)
    assert found is not None
    assert (found.chi2, found.p) == pytest.approx(tuple(stats.friedmanchisquare(*blocks.T)))
    ours = s.nemenyi(s.rank(blocks).mean(0), len(blocks))
    assert ours == pytest.approx(posthocs.posthoc_nemenyi_friedman(blocks).to_numpy(), abs=1e-6)


def test_demsars_example() -> None:
    """JMLR 7 (2006), table 6: four algorithms on 14 data sets, χ²_F = 9.28, F_F = 3.69; q at 0.05 is 2.569."""
    average = np.array([3.143, 2.000, 2.893, 1.964])
    n, k = 14, 4
    chi2 = 12 * n / (k * (k + 1)) * ((average**2).sum() - k * (k + 1) ** 2 / 4)
    assert chi2 == pytest.approx(9.28, abs=0.01)
    assert (n - 1) * chi2 / (n * (k - 1) - chi2) == pytest.approx(3.69, abs=0.01)
    assert s.critical_difference(k, n, 0.10) == pytest.approx(1.12, abs=0.005)
    assert s.critical_difference(k, n) == pytest.approx(2.569 * math.sqrt(k * (k + 1) / (6 * n)), rel=1e-3)


def test_iman_davenport_by_hand() -> None:
    """Ranks 1, 2, 3 in all of four blocks but one that swaps the last two: R̄ = 1, 2.25, 2.75, χ² = 6.5, F = 13."""
    blocks = np.array([[3.0, 2, 1], [9, 8, 7], [5, 4, 3], [5, 3, 4]])
    found = s.friedman(blocks)
    assert found is not None
    assert (found.chi2, found.f) == pytest.approx((6.5, 3 * 6.5 / (8 - 6.5)))


def test_equal_scores_share_ranks_and_make_no_test() -> None:
    assert s.rank(np.array([[90.0, 91, 90, 80]])).tolist() == [[2.5, 1, 2.5, 4]]
    analysis = s.analyse(planted(np.full((3, 4, 2), 90.0)), resamples=100)
    assert analysis.ranks.average.tolist() == [2, 2, 2]
    assert analysis.ranks.friedman is None
    assert {pair.p_benchmarks for pair in analysis.pairs} == {1.0}
    assert {pair.p_searches for pair in analysis.pairs} == {1.0}
    assert {pair.improvement for pair in analysis.pairs} == {0.5}
    assert np.isnan(analysis.benchmarks.tau).all()
    assert analysis.best_settings.tolist() == [6, 6], "ties are shared"


def test_groups_are_the_longest_stretches_within_the_distance() -> None:
    groups = s.ranks.groups
    average = np.array([1.0, 1.5, 2.5, 3.0, 4.5])
    assert groups(average, 1.5) == [(0, 2), (1, 3), (3, 4)]
    assert groups(average, 0.1) == []
    assert groups(average, 9.0) == [(0, 4)]
    assert groups(average, math.nan) == []


# Pairs


def test_holm_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(0).uniform(size=20) ** 3
    assert s.holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    assert s.holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)


def test_wilcoxon_is_exact_for_few_benchmarks() -> None:
    differences = np.arange(1.0, 10.0)
    assert s.wilcoxon(differences) == pytest.approx(s.smallest_p(9))
    everything = [abs(sum(r * sign for r, sign in zip(range(1, 10), signs, strict=True)))
                  for signs in itertools.product((-1, 1), repeat=9)]  # fmt: skip
    differences[2] *= -1
    value = abs(sum(range(1, 10)) - 2 * 3)
    assert s.wilcoxon(differences) == pytest.approx(np.mean([v >= value for v in everything]))
    assert s.wilcoxon(np.zeros(4)) == 1.0


def test_stratified_welch_of_one_benchmark_is_welch() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(0, 1, (1, 6)), generator.normal(0.8, 3, (1, 6))
    assert s.stratified_welch(x, y) == pytest.approx(stats.ttest_ind(x[0], y[0], equal_var=False).pvalue)
    assert math.isnan(s.stratified_welch(x[:, :1], y))


def test_stratified_welch_keeps_its_level() -> None:
    generator = np.random.default_rng(0)
    p = [s.stratified_welch(*(generator.normal(0, [[0.3], [1], [2]], (3, 4)) for _ in range(2))) for _ in range(1500)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_improvement_and_effect_sizes_by_hand() -> None:
    """a: 1 2 3, b: 2 2 0 → of nine comparisons a wins 5 and ties 2: 6/9."""
    scores = {"a": (1.0, 2.0, 3.0), "b": (2.0, 2.0, 0.0)}
    units = [Result(m, "x", "1", i, score=v) for m, values in scores.items() for i, v in enumerate(values)]
    analysis = s.analyse(Results.of(units), resamples=100)
    (pair,) = analysis.pairs
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.improvement == pytest.approx(6 / 9)
    assert pair.cliff_delta == pytest.approx(3 / 9)
    assert pair.hedges_g == pytest.approx((2 - 4 / 3) / math.sqrt((1 + 4 / 3) / 2) * (1 - 3 / 15))
    u = stats.mannwhitneyu(*scores.values()).statistic
    assert pair.improvement == pytest.approx(u / 9)


def test_hedges_g_is_the_true_effect_on_average() -> None:
    """Without the correction the mean of three searches each would be 1.25."""
    generator = np.random.default_rng(0)
    found = [s.pairwise.hedges_g(generator.normal(1, 1, (1, 3)), generator.normal(0, 1, (1, 3))) for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=0.06)


def test_repetitions_without_any_noise_prove_nothing() -> None:
    units = [Result(m, "x", "1", i, score=v) for m, v in (("a", 94.3), ("b", 94.2)) for i in range(2)]
    (pair,) = s.analyse(Results.of(units), resamples=100).pairs
    assert math.isnan(pair.p_searches)
    assert math.isnan(pair.improvement_low), "won every comparison: how surely cannot be estimated"
    assert pair.improvement == 1


def test_the_order_of_a_sum_makes_no_difference() -> None:
    scores = [90.58, 93.35, 90.03]
    assert np.add.accumulate(scores)[-1] != np.add.accumulate(scores[::-1])[-1]
    units = [
        Result(m, f"b{b}", "1", i, score=v)
        for b in range(9)
        for m, values in (("a", scores), ("b", scores[::-1]))
        for i, v in enumerate(values)
    ]
    analysis = s.analyse(Results.of(units), resamples=100)
    assert analysis.ranks.average.tolist() == [1.5, 1.5]
    assert (analysis.pairs[0].p_cells, analysis.pairs[0].p_searches) == pytest.approx((1, 1))
    assert all(np.abs(found.values).max() < 100 for found in analysis.aggregates)


@pytest.mark.slow
def test_improvement_interval_covers_the_truth() -> None:
    truth = stats.norm.cdf(0.5 / math.sqrt(2))
    hits = 0
    for seed in range(150):
        means = np.stack([np.full((3, 1), 0.5), np.zeros((3, 1))])
        cube = s.Cube.of(planted(means, searches=10, search_noise=1.0, seed=seed)).compared()
        _, low, high = s.pairwise.probability_of_improvement(cube, s.Bootstrap(cube), 0, 1)
        hits += low <= truth <= high
    assert hits / 150 >= 0.88


# Bootstrap and aggregates


def test_aggregates_are_those_of_scipy() -> None:
    results = planted(np.random.default_rng(0).normal(80, 3, (3, 2, 3)), searches=5, noise=1.0, search_noise=1.0)
    cube = s.Cube.of(results).compared()
    unit = s.normalised(cube)
    found = {a.name: a for a in s.aggregates(cube, s.Bootstrap(cube, 200))}
    for m in range(3):
        flat = unit[m].ravel()
        assert found["Mean"].values[m] == pytest.approx(cube.scores[m].mean())
        assert found["IQM"].values[m] == pytest.approx(stats.trim_mean(flat, 0.25))
        assert found["Median"].values[m] == pytest.approx(np.median(flat))
        assert found["Optimality gap"].values[m] == pytest.approx(1 - flat.mean())
        assert found["Regret"].values[m] == pytest.approx((cube.cells.max(0) - cube.cells[m]).mean())
    assert unit.mean(-1).min(0) == pytest.approx(np.zeros((2, 3)), abs=1e-8)
    assert unit.mean(-1).max(0) == pytest.approx(np.ones((2, 3)))


def test_weighted_resamples_are_resamples() -> None:
    """IQM and median of a resample by shares are those of the resample written out: 3 of 4 searches, each 4 times."""
    cube = s.Cube.of(
        planted(np.random.default_rng(5).normal(80, 3, (2, 3, 2)), searches=4, search_noise=2.0)
    ).compared()
    bootstrap = s.Bootstrap(cube, 20)
    weights = np.round(bootstrap.shares(1) * 3).astype(int)
    assert weights.sum(-1).tolist() == np.full((20, 3), 3).tolist()
    assert bootstrap.shares(1) * 3 == pytest.approx(weights)
    found = {a.name: a for a in s.aggregates(cube, bootstrap)}
    unit = s.normalised(cube)[1]
    written = [np.concatenate([np.repeat(unit[b], 4 * w[b], axis=1).ravel() for b in range(3)]) for w in weights]
    for name, statistic in {"IQM": lambda x: stats.trim_mean(x, 0.25), "Median": np.median}.items():
        expected = np.quantile([statistic(x) for x in written], [0.025, 0.975])
        assert (found[name].low[1], found[name].high[1]) == pytest.approx(tuple(expected))
    again = [np.stack([np.repeat(cube.scores[1, b], w[b], axis=1).mean(1) for b in range(3)]) for w in weights]
    assert bootstrap.cells[:, 1] == pytest.approx(np.array(again))


@pytest.mark.slow
def test_bootstrap_intervals_cover_the_truth() -> None:
    """Searches share their noise over five settings: drawing single ones would give intervals 2.2 times too small."""
    hits = 0
    for seed in range(120):
        results = planted(np.full((1, 2, 5), 80.0), searches=12, search_noise=1.0, noise=0.1, seed=seed)
        cube = s.Cube.of(results).compared()
        mean = s.aggregates(cube, s.Bootstrap(cube, 300))[0]
        hits += mean.low[0] <= 80 <= mean.high[0]
    assert hits / 120 >= 0.87


@pytest.mark.slow
@pytest.mark.parametrize(("searches", "least"), [(2, 0.8), (3, 0.9)])
def test_intervals_of_few_searches_cover_the_truth(searches: int, least: float) -> None:
    """Drawing all of three searches instead of two covers a difference in 82 %, of two in 67 %, on one benchmark."""
    hits = 0
    for seed in range(300):
        results = planted(np.array([1.0, 0.0])[:, None, None] + np.zeros((2, 5, 2)), searches=searches,
                          search_noise=1.0, noise=0.1, seed=seed)  # fmt: skip
        cube = s.Cube.of(results).compared()
        (pair,) = s.pairs(cube, s.Bootstrap(cube, 300))
        hits += pair.low <= (1.0 if pair.first == "a" else -1.0) <= pair.high
    assert hits / 300 >= least


def test_benchmarks_weigh_the_same_however_often_they_were_searched() -> None:
    units = [Result("a", "easy", "1", i, score=90.0) for i in range(3)]
    units += [Result("a", "hard", "1", i, score=70.0) for i in range(2)]
    units += [Result("b", n, "1", i, score=v) for n, v in (("easy", 91.0), ("hard", 71.0)) for i in range(3)]
    analysis = s.analyse(Results.of(units), resamples=100)
    found = {a.name: dict(zip(analysis.cube.methods, a.values.tolist(), strict=True)) for a in analysis.aggregates}
    assert found["Mean"] == {"a": 80, "b": 81}
    assert found["IQM"] == found["Median"] == {"a": 0, "b": 1}
    assert found["Optimality gap"] == {"a": 1, "b": 0}
    assert found["Regret"] == {"a": 1, "b": 0}


def test_where_nothing_can_be_drawn_there_is_no_interval() -> None:
    few = s.analyse(planted(np.array([90.1, 90.0, 89.9])[:, None, None] + np.zeros((3, 4, 1)), searches=1))
    assert np.isnan([few.ranks.low, few.aggregates[0].low]).all(), "four benchmarks"
    assert math.isnan(few.pairs[0].low)
    results = planted(np.arange(3.0)[:, None, None] + np.zeros((3, 2, 2)), search_noise=0.1)
    frame = results.frame
    once = s.analyse(Results(frame[(frame.method != "b") | (frame.seed == 0)]), resamples=100)
    place = once.cube.methods.index("b")
    assert np.isnan(once.aggregates[0].low).tolist() == [m == place for m in range(3)]
    assert [math.isnan(p.low) for p in once.pairs] == ["b" in (p.first, p.second) for p in once.pairs]


def test_the_same_seed_gives_the_same_intervals(published: Results) -> None:
    first, second, other = (s.analyse(published, resamples=100, seed=seed) for seed in (1, 1, 2))
    assert first.ranks.low.tolist() == second.ranks.low.tolist()
    assert first.aggregates[1].low.tolist() != other.aggregates[1].low.tolist()


# Agreement


@pytest.mark.parametrize("decimals", [6, 0])
def test_tau_is_kendalls(decimals: int) -> None:
    scores = np.random.default_rng(2).normal(size=(4, 8)).round(decimals)
    expected = [[stats.kendalltau(a, b).statistic for b in scores] for a in scores]
    assert s.tau(scores) == pytest.approx(np.array(expected))


def test_a_rank_reversal_is_exposed() -> None:
    means = np.zeros((5, 3, 2))
    means[:, 0] = means[:, 1] = 90 - np.arange(5.0)[:, None]
    means[:, 2] = 90 + np.arange(5.0)[:, None]
    analysis = s.analyse(planted(means, search_noise=0.01), resamples=200)
    assert analysis.benchmarks.tau.round(6).tolist() == [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]
    assert analysis.benchmarks.low[0, 2] == analysis.benchmarks.high[0, 2] == -1
    assert analysis.benchmarks.halves is not None
    assert analysis.benchmarks.halves.round(6).tolist() == [[1, 1, -1], [1, 1, -1], [-1, -1, 1]]
    assert analysis.benchmarks.half_averages == pytest.approx((1, -1 / 3, 1))
    assert analysis.benchmarks.average == pytest.approx(-1 / 3)
    assert analysis.settings.tau.tolist() == [[1, 1], [1, 1]]
    assert analysis.ranks.average.tolist() == pytest.approx([7 / 3, 8 / 3, 3, 10 / 3, 11 / 3])
    assert analysis.ranks.methods == ("a", "b", "c", "d", "e")


def test_a_reversal_between_settings_is_exposed() -> None:
    means = np.stack([np.tile([90.0, 80.0], (3, 1)), np.tile([85.0, 85.5], (3, 1))])
    analysis = s.analyse(planted(means, search_noise=0.01), resamples=200)
    assert analysis.settings.tau[0, 1] == -1


def test_halves_of_pure_noise_do_not_agree() -> None:
    analysis = s.analyse(planted(np.full((8, 5, 1), 80.0), searches=6, search_noise=1.0), resamples=100)
    assert max(map(abs, analysis.benchmarks.half_averages)) < 0.25


def test_halves_of_equal_benchmarks_agree_as_one_with_itself() -> None:
    """The τ of all searches would be larger than that of halves, and hide a reversal as large as their difference."""
    means = np.random.default_rng(0).normal(0, 1, (9, 1, 1)) + np.zeros((9, 30, 1))
    found = s.analyse(planted(means, searches=3, search_noise=1.0), resamples=100).benchmarks
    same, different, if_same = found.half_averages
    assert same == pytest.approx(different, abs=0.06)
    assert if_same == pytest.approx(different, abs=0.06)
    assert found.average > different + 0.08


def test_unequal_noise_is_no_reversal() -> None:
    draw = np.random.default_rng(0)
    means, noise = draw.normal(size=4000), np.array([0.5, 4.0])[:, None, None]
    halves = means + noise * draw.normal(size=(2, 2, 4000))  # benchmarks, halves, methods
    every = s.tau(halves.reshape(4, 4000))
    own, different = np.array([every[0, 1], every[2, 3]]), every[:2, 2:].mean()
    assert own.mean() > different + 0.1
    assert same_ranking(own)[0, 1] == pytest.approx(different, abs=0.03)


def test_bonett_wright_by_hand() -> None:
    low, high = s.bonett_wright(np.array([0.5]), 20)
    reach = 1.959964 * math.sqrt(0.437 / 16)
    assert (low[0], high[0]) == pytest.approx((math.tanh(math.atanh(0.5) - reach), math.tanh(math.atanh(0.5) + reach)))
    assert np.isnan(s.bonett_wright(np.array([0.5]), 4)[0]).all()
    assert np.isnan(s.bonett_wright(np.array([1.0, -1.0]), 9)[0]).all()


# Spread


def test_variance_components_are_recovered() -> None:
    generator = np.random.default_rng(0)
    wanted = np.array([4.0, 1.0, 9.0, 0.5, 0.25])
    found = []
    for _ in range(200):
        m, h, n = 12, 9, 4
        shapes = ((m, 1, 1), (m, 1, n), (1, h, 1), (m, h, 1), (m, h, n))
        y = sum(math.sqrt(v) * generator.normal(size=shape) for v, shape in zip(wanted, shapes, strict=True))
        found.append(s.components(np.asarray(y)))
    assert np.mean(found, axis=0) == pytest.approx(wanted, rel=0.12)


def test_components_without_repetition() -> None:
    """Methods ±1, settings ±3, no interplay: variances 2 and 18, and nothing is left for the rest to say."""
    y = np.array([[4.0, -2.0], [2.0, -4.0]])[:, :, None]
    assert s.components(y).tolist() == pytest.approx([2, math.nan, 18, 0, math.nan], nan_ok=True)


# Power


def test_needed_searches_are_cohens_and_statsmodels() -> None:
    assert (s.needed(1.0, 1.0), s.needed(0.5, 1.0), s.needed(0.2, 1.0)) == (17, 64, 394)
    statsmodels = pytest.importorskip("statsmodels.stats.power")
    for effect, count in itertools.product((0.3, 1.0, 2.5), (3, 8, 40)):
        expected = statsmodels.TTestIndPower().power(effect, count, 0.05)
        if not math.isnan(expected):  # where their noncentral t fails
            assert power(effect, 1.0, count) == pytest.approx(expected, abs=1e-5)
    assert s.needed(0.0, 1.0) == math.inf
    assert math.isnan(s.needed(1.0, math.nan))
    assert s.needed(100.0, 1.0) == 3, "two searches hardly know the noise"


def test_power_where_the_noncentral_t_of_scipy_is_not_a_number() -> None:
    generator = np.random.default_rng(0)
    samples = generator.normal(0, 1, (2, 40_000, 2)) + np.array([8.0, 0.0])[:, None, None]
    found = stats.ttest_ind(samples[0], samples[1], axis=1).pvalue < 0.01
    assert power(8.0, 1.0, 2, alpha=0.01) == pytest.approx(found.mean(), abs=0.01)


def test_power_over_benchmarks_is_what_simulation_finds() -> None:
    generator = np.random.default_rng(0)
    found = [
        s.stratified_welch(generator.normal(0.5, 1, (4, 5)), generator.normal(0.0, 1, (4, 5))) < 0.05
        for _ in range(1500)
    ]
    assert np.mean(found) == pytest.approx(power(0.5, 1.0, 5, benchmarks=4), abs=0.04)


# A planted campaign, and what is missing


def test_a_planted_campaign_is_found() -> None:
    means = 90 - np.arange(4.0)[:, None, None] + np.arange(10.0)[None, :, None] + np.array([0.0, -5.0])[None, None, :]
    analysis = s.analyse(planted(means, searches=4, search_noise=0.1, noise=0.05), resamples=300)
    assert analysis.ranks.average.tolist() == [1, 2, 3, 4]
    assert analysis.ranks.low.tolist() == analysis.ranks.high.tolist() == [1, 2, 3, 4]
    assert analysis.benchmarks.average == pytest.approx(1)
    assert [(p.first, p.second) for p in analysis.pairs if p.p_searches < 1e-6] == list(
        itertools.combinations("abcd", 2)
    )
    assert all(p.p_benchmarks == pytest.approx(6 * 2.0**-9) for p in analysis.pairs)
    assert all(p.low <= p.difference <= p.high and abs(p.difference - (ord(p.second) - ord(p.first))) < 0.1
               for p in analysis.pairs)  # fmt: skip
    assert analysis.best_settings.tolist() == [40, 0]
    assert analysis.spread.method_deviation == pytest.approx(np.full(10, np.std(range(4), ddof=1)), rel=0.15)
    assert analysis.spread.setting_range == pytest.approx(np.full(10, 5.0), abs=0.2)
    together = analysis.power[0]
    assert (together.scope, together.first, together.second, together.needed) == ("all", "a", "b", 3)


@pytest.mark.slow
def test_equal_methods_are_not_called_different() -> None:
    wrong = 0
    for seed in range(40):
        analysis = s.analyse(planted(np.full((4, 5, 2), 80.0), search_noise=1.0, noise=0.3, seed=seed), resamples=100)
        wrong += any(p.p_searches < 0.05 or p.p_benchmarks < 0.05 for p in analysis.pairs)
    assert wrong <= 6, "a family-wise level of 0.05 over 40 campaigns"


def test_what_is_missing_is_said_and_biases_nothing() -> None:
    means = np.tile(np.array([90.0, 70.0]), (3, 2, 1)) + np.arange(3.0)[:, None, None]
    results = planted(means, searches=2)
    frame = results.frame
    gone = (frame.method == "c") & (frame.benchmark == "bench 1") & (frame.setting == "1")
    unfinished = Results(frame[~gone])
    analysis = s.analyse(unfinished, resamples=100)
    assert analysis.ranks.methods == ("c", "b", "a"), "c lacks the setting where all are good, and is still best"
    assert any("1 of 4 benchmarks' settings are left out" in r and "bench 1 / 1" in r for r in analysis.remarks)
    assert analysis.everything.cells.shape == (3, 2, 2)


def test_searches_that_lack_a_setting_are_left_out() -> None:
    """Setting 2 is twenty points harder: a mean without it would be a lead of ten points."""
    means = np.tile(np.array([90.0, 70.0]), (2, 2, 1)) + np.array([0.0, 1.0])[:, None, None]
    results = planted(means, searches=3, search_noise=0.1)
    frame = results.frame.copy()
    frame.loc[(frame.method == "a") & (frame.benchmark == "bench 1") & (frame.setting == "2") & (frame.seed == 0),
              "score"] = math.nan  # fmt: skip
    analysis = s.analyse(Results(frame), resamples=300)
    (pair,) = analysis.pairs
    assert pair.low > 0.6
    assert pair.high < 1.4
    assert analysis.aggregates[0].values == pytest.approx(analysis.cube.blocks().mean(0))
    assert (~np.isnan(analysis.cube.runs)).sum(-1).tolist() == [[3, 3], [2, 3]]
    assert any(r.startswith("Searches without results") and r.endswith("1 of 12 (a).") for r in analysis.remarks)


def test_columns_of_a_table_are_not_repetitions() -> None:
    """Three columns that score the same searches, here even alike, say as much as one."""
    generator = np.random.default_rng(0)
    scores = {m: generator.normal(90 + shift, 1, 5) for m, shift in (("a", 0.0), ("b", 1.5), ("c", 0.5))}
    units = [
        Result(m, column, "1", i, score=float(v), genotype=f"{m}{i}")
        for m, values in scores.items()
        for i, v in enumerate(values)
        for column in ("x", "y", "z")
    ]
    three = s.analyse(Results.of(units), resamples=500)
    one = s.analyse(Results.of([unit for unit in units if unit.benchmark == "x"]), resamples=500)
    assert three.cube.strata == (0, 0, 0)
    for ours, theirs in zip(three.pairs, one.pairs, strict=True):
        for name in ("p_searches", "difference", "low", "high", "improvement", "improvement_low", "improvement_high"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name))
    assert three.power[0].needed == one.power[0].needed
    assert three.benchmarks.halves is not None
    assert three.benchmarks.halves == pytest.approx(np.full((3, 3), three.benchmarks.halves[0, 0]))
    assert any(r == "x, y, z score the same searches, each of which counts as one." for r in three.remarks)
    other = [replace(unit, genotype=unit.genotype + unit.benchmark) for unit in units]
    assert s.analyse(Results.of(other), resamples=100).cube.strata == (0, 1, 2)


@pytest.mark.parametrize("seeds", [1, 5], ids=["searched once", "searched often"])
@pytest.mark.parametrize("spaces", [1, 2, 6])
def test_a_search_that_several_columns_score_counts_once_in_every_number(seeds: int, spaces: int) -> None:
    """Each search is scored by two columns that say the same: the report must not be any surer than with one."""
    generator = np.random.default_rng(seeds + spaces)
    units = [
        Result(m, f"{space}{column}", "1", i, score=score, genotype=f"{m}{i}{space}")
        for m, shift in (("a", 0.0), ("b", 1.0), ("c", 2.0))
        for space in range(spaces)
        for i in range(seeds)
        for score in [float(generator.normal(90 + shift, 1))]
        for column in ("x", "y")
    ]
    twice = s.analyse(Results.of(units), resamples=300)
    once = s.analyse(Results.of([unit for unit in units if unit.benchmark.endswith("x")]), resamples=300)
    assert len(twice.cube.weights) == spaces
    for ours, theirs in zip(twice.pairs, once.pairs, strict=True):
        assert dataclasses.asdict(ours) == pytest.approx(dataclasses.asdict(theirs), nan_ok=True)
    for name in ("average", "low", "high", "nemenyi", "critical_difference"):
        assert getattr(twice.ranks, name) == pytest.approx(getattr(once.ranks, name), nan_ok=True)
    assert twice.ranks.friedman == once.ranks.friedman
    assert (twice.smallest_p, twice.best_of) == (once.smallest_p, once.best_of)
    for mine, other in zip(twice.aggregates, once.aggregates, strict=True):
        for name in ("values", "low", "high"):
            assert getattr(mine, name) == pytest.approx(getattr(other, name), nan_ok=True)
    assert (twice.power[0].p, twice.power[0].needed) == pytest.approx(
        (once.power[0].p, once.power[0].needed), nan_ok=True
    )
    same = np.equal.outer(twice.cube.strata, twice.cube.strata)
    assert np.isnan(twice.benchmarks.p[same]).all(), "a column agrees with itself, which proves nothing"
    assert f">{3 * spaces * seeds}</dd>" in render(twice), "results are counted once as well"


def test_a_result_that_one_column_lacks_does_not_make_two_benchmarks_of_a_search() -> None:
    units = [
        Result(m, column, "1", i, score=math.nan if (m, i, column) == ("a", 0, "y") else 90.0 + i, genotype=f"{m}{i}")
        for m in "ab"
        for i in range(3)
        for column in ("x", "y")
    ]
    assert s.analyse(Results.of(units), resamples=100).cube.strata == (0, 0)


def test_the_winner_that_is_told_is_the_one_that_was_tested() -> None:
    """A fifth search of a lacks the setting where all are good; of whole searches a is ahead by one point."""
    units = [Result(m, "x", h, i, score=level - lag + i / 10)
             for m, lag in (("a", 0.0), ("b", 1.0)) for h, level in (("1", 90.0), ("2", 80.0))
             for i in range(4)]  # fmt: skip
    units.append(Result("a", "x", "1", 4, score=75.0))
    (pair,) = s.analyse(Results.of(units), resamples=100).pairs
    assert (pair.first, pair.difference) == ("a", pytest.approx(1))
    assert pair.p_searches < 0.001


def test_settings_that_no_search_has_together_are_not_mixed() -> None:
    """The searches of a have one setting each; only one of the two can be compared."""
    units = [Result("a", "x", "1", 0, score=90.0), Result("a", "x", "2", 1, score=70.0)]
    units += [Result("b", "x", h, i, score=v) for h, v in (("1", 89.0), ("2", 69.0)) for i in range(2)]
    analysis = s.analyse(Results.of(units), resamples=100)
    assert analysis.cube.settings == ("1",)
    assert analysis.pairs[0].difference == 1
    assert any("1 of 2 benchmarks' settings are left out" in r and "(a lack some)" in r for r in analysis.remarks)


def test_a_method_that_has_only_begun_is_left_out() -> None:
    results = planted(np.zeros((3, 4, 1)) + np.arange(3.0)[:, None, None])
    frame = results.frame
    begun = Results(frame[(frame.method != "c") | (frame.benchmark == "bench 1")])
    analysis = s.analyse(begun, resamples=100)
    assert analysis.ranks.methods == ("b", "a")
    assert analysis.cube.benchmarks == ("bench 1", "bench 2", "bench 3", "bench 4")
    assert any(r.startswith("c is left out of the comparisons: it has 1 of 4") for r in analysis.remarks)


def test_failed_units_are_counted() -> None:
    results = planted(np.zeros((2, 3, 1)) + np.arange(2.0)[:, None, None])
    frame = results.frame.copy()
    frame.loc[frame.index[:2], "score"] = math.nan
    analysis = s.analyse(Results(frame), resamples=100)
    assert any("2 of 18 results have no score and are left out (a 2)" in r for r in analysis.remarks)
    assert any(r.startswith("a: a single search on some benchmarks") for r in analysis.remarks)
    with pytest.raises(ArchgradError, match="nothing has a score yet"):
        s.analyse(Results(frame.assign(score=math.nan)))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (1, 3, 2), (2, 2, 1), (3, 1, 4)])
@pytest.mark.parametrize("searches", [1, 3])
def test_small_campaigns_have_a_report_too(shape: tuple[int, int, int], searches: int) -> None:
    means = 80 + np.arange(math.prod(shape), dtype=float).reshape(shape)
    analysis = s.analyse(planted(means, searches=searches, search_noise=0.1), resamples=100)
    assert len(analysis.ranks.methods) == shape[0]
    assert len(analysis.pairs) == shape[0] * (shape[0] - 1) // 2
    assert analysis.best_settings.sum() == shape[0] * shape[1]


def test_trainings_are_replicates_only_where_searches_are_not() -> None:
    units = [Result("a", "x", "1", seed, t, score=seed * 10.0 + t) for seed in (0, 1) for t in (0, 1)]
    nested = s.Cube.of(Results.of(units))
    assert nested.replicates == "searches"
    assert nested.scores.tolist() == [[[[0.5, 10.5]]]]
    single = s.Cube.of(Results.of([u for u in units if u.seed == 0]))
    assert (single.replicates, single.scores.tolist()) == ("trainings", [[[[0.0, 1.0]]]])


def test_settings_keep_their_order() -> None:
    units = [Result("a", "x", str(i), score=float(i)) for i in (10, 9, 1)]
    assert s.Cube.of(Results.of(units)).settings == ("1", "9", "10")
    assert s.Cube.of(Results.of(units, settings={"10": "ten", "1": "one"})).settings == ("10", "1", "9")


def test_a_dense_cube_holds_every_unit(published: Results) -> None:
    cube = s.Cube.of(published)
    frame = published.frame
    for m, b, h in ((0, 0, 0), (3, 4, 5), (6, 8, 8)):
        names = (cube.methods[m], cube.benchmarks[b], cube.settings[h])
        here = frame[(frame.method == names[0]) & (frame.benchmark == names[1]) & (frame.setting == names[2])]
        assert cube.scores[m, b, h, 0] == here.score.iloc[0]
    assert isinstance(frame, pd.DataFrame)
