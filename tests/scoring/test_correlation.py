"""Rank correlations against scipy and by hand, targets of the robustness tables, and the study as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from archgrad import landscape, scoring, spaces, tables
from archgrad.errors import ArchgradError
from archgrad.scoring import Scorer, correlation
from archgrad.scoring.correlation import statistics
from archgrad.scoring.correlation.study import size_bands
from archgrad.tables import Table
from archgrad.tables import nasbench201 as numbering

RNG = np.random.default_rng(0)
X = RNG.integers(0, 30, (3, 80)).astype(float)  # with ties
Y = X[[0, 0]] * [[1.0], [-1.0]] + RNG.normal(size=(2, 80)) * 8
X[2, 5] = -np.inf


def made_up(**columns: np.ndarray) -> Table:
    index = np.arange(numbering.CELLS)
    return Table("made up", spaces.get("nasbench201"), numbering.cells(), index, numbering.isomorphs(), columns)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(statistics.spearman, stats.spearmanr), (statistics.kendall, stats.kendalltau)]
)
def test_against_scipy(ours: Callable[..., np.ndarray], theirs: Callable[..., object]) -> None:
    ranked = stats.rankdata(X, axis=1)
    expected = [[theirs(x, y).statistic for y in Y] for x in ranked]  # type: ignore[attr-defined]
    assert ours(X, Y) == pytest.approx(np.array(expected), abs=1e-12)


@pytest.mark.parametrize("sizes", [80, 7])
def test_what_is_left_given_size_is_that_of_the_residuals(sizes: int) -> None:
    size = X[0] + RNG.normal(size=80) * 20 if sizes == 80 else np.arange(80.0) % sizes
    ranks = [stats.rankdata(v) for v in (X[1], Y[0], size)]
    design = np.stack([size == one for one in np.unique(size)] if sizes == 7 else [ranks[2] ** k for k in range(4)], 1)
    residuals = [r - design @ np.linalg.lstsq(design.astype(float), r, rcond=None)[0] for r in ranks[:2]]
    expected = stats.pearsonr(*residuals).statistic
    explained = statistics.explained_by(size)
    assert statistics.given(X[1:2], Y[:1], explained).item() == pytest.approx(expected, abs=1e-9)
    assert np.isnan(statistics.given(size[None], Y, explained)).all()  # nothing is left of size itself
    assert np.isnan(statistics.spearman(np.ones((1, 80)), Y)).all()


def test_kendall_of_resamples_is_kendall_of_the_repeated_cells() -> None:
    samples = statistics.resamples(80, 4, seed=3)
    for sample, found in zip(samples, statistics.kendall_bootstrap(X, Y, samples), strict=True):
        ranked = stats.rankdata(X, axis=1)[:, sample]
        expected = [[stats.kendalltau(x, y).statistic for y in Y[:, sample]] for x in ranked]
        assert found == pytest.approx(np.array(expected), abs=1e-9)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    truth, hits = 6 / np.pi * np.arcsin(0.6 / 2), 0
    for number in range(60):
        rng = np.random.default_rng(number)
        a = rng.normal(size=120)
        b = 0.6 * a + 0.8 * rng.normal(size=120)
        draws = [statistics.spearman(a[None, s], b[None, s]).item() for s in statistics.resamples(120, 100, number)]
        low, high = np.quantile(draws, [0.025, 0.975])
        hits += low <= truth <= high
    assert 51 <= hits <= 60


def test_bands_keep_equal_sizes_together() -> None:
    size = np.repeat([1.0, 2.0, 3.0, 4.0], [10, 40, 5, 25])
    edges, inside = size_bands(size, 4)
    assert sum(band.sum() for band in inside) == 80
    assert edges == [(1, 2), (3, 4)] or all(len(set(size[band])) >= 1 for band in inside)
    for value in (1.0, 2.0, 3.0, 4.0):
        assert sum(bool((size[band] == value).any()) for band in inside) == 1


def test_harmonic_robustness_score() -> None:
    clean, robust = np.array([50.0, 80.0, 0.0, 90.0]), np.array([50.0, 20.0, 0.0, 0.0])
    assert correlation.harmonic(clean, robust).tolist() == [50, 32, 0, 0]


def test_targets_of_the_real_tables(data: Path) -> None:
    rows = np.arange(200)
    table = tables.load(data / "robustness/nb201_robustness.parquet")
    found = correlation.targets_of(table, rows)
    assert {"clean", "pgd_eps1", "aa_apgd-ce_eps0.1", "hrs_fgsm_eps8", "weather", "noise", "blur", "digital"} <= set(
        found.names
    )
    by_name = {target.name: target for target in found.targets}
    assert [len(group) for group in by_name["weather"].groups] == [5, 5, 5]
    assert len(by_name["blur"].groups) == 4
    assert len(by_name["corruptions"].groups) == 15
    expected = np.mean(
        [table.values(f"cifar10_{c}_s{s}")[rows] for c in correlation.CORRUPTIONS["noise"] for s in "12345"], 0
    )
    noise = [i for group in by_name["noise"].groups for i in group]
    assert found.values[noise].mean(0) == pytest.approx(expected)
    (row,) = by_name["corruption_accuracy"].groups[0]
    assert found.values[row] == pytest.approx(table.values("cifar10_*_s?")[rows])
    # averages of correlations, not the correlation of averages
    scores = np.stack([table.values("cifar10_clean")[rows]])
    by_value = statistics.spearman(scores, found.values)
    each = [np.mean([by_value[0, i] for i in group]) for group in by_name["digital"].groups]
    assert found.averaged(by_value)[0, found.names.index("digital")] == pytest.approx(np.mean(each))
    trained = correlation.targets_of(tables.load(data / "robustness/nb201_robbench_advtrained.parquet"), rows)
    assert {"clean", "autoattack", "hrs_autoattack", "pgd_eps8"} <= set(trained.names)
    assert "weather" not in trained.names


def test_parameters_explain_what_the_specification_says(data: Path) -> None:
    published = tables.load(data / "nasbench201/nasbench201.parquet")
    adversarial = tables.load(data / "robustness/nb201_robbench_advtrained.parquet")
    rows = np.unique(adversarial.class_rows)
    size = published.values("params_m")[[published.row(int(i)) for i in adversarial.index[rows]]]
    values = np.stack(
        [adversarial.values(f"cifar10_{m}")[rows] for m in ("clean", "fgsm_eps8", "pgd_eps8", "autoattack")]
    )
    found = statistics.spearman(size[None], values)[0]
    assert found == pytest.approx([0.75, 0.79, 0.80, 0.79], abs=0.04)  # measured on 300 of these 6,466 classes


def study(bootstrap: int = 50) -> correlation.Study:
    size = numbering.cells().sum(1) + RNG.random(numbering.CELLS)
    truth = size + 3 * RNG.normal(size=numbering.CELLS)
    scores = made_up(params=size, good=truth + 0.1 * RNG.normal(size=len(size)), noise=RNG.normal(size=len(size)))
    table = made_up(cifar10_clean=200 + truth, cifar10_pgd_eps8=200 + truth - 5 * size)
    chosen = np.random.default_rng(1).permutation(numbering.CELLS)[:150]
    part = Table(
        "part",
        scores.space,
        scores.codes[chosen],
        scores.index[chosen],
        scores.isomorph[chosen],
        {n: v[chosen] for n, v in scores.columns.items()},
    )
    return correlation.correlate(part, table, bootstrap=bootstrap)


def test_a_study_finds_what_was_put_in(tmp_path: Path) -> None:
    found = study()
    good, noise, params = (found.proxies.index(name) for name in ("good", "noise", "params"))
    clean, pgd = found.targets.index("clean"), found.targets.index("pgd_eps8")
    assert found.cells == 150
    assert found.spearman.value[good, clean] > 0.98
    assert found.partial.value[good, clean] > 0.9
    assert found.spearman.value[good, pgd] < 0  # size speaks against it …
    assert found.partial.value[good, pgd] > 0.8  # … and what is left of it for it
    assert np.isnan(found.partial.value[params]).all()
    assert found.spearman.low[noise, clean] < 0 < found.spearman.high[noise, clean]
    assert (found.spearman.low <= found.spearman.value).all()
    assert (found.spearman.value <= found.spearman.high).all()
    assert found.bands.shape == (4, 3, len(found.targets))
    assert sum(found.counts) == 150
    assert study().rows()[0].keys() == found.rows()[0].keys()
    rows = found.write(tmp_path / "a.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * len(found.targets)
    figure = landscape.save(correlation.heat_map(found), tmp_path / "a.png")
    assert figure.stat().st_size > 10_000


def test_scores_of_a_sample_are_a_table_that_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, space = tmp_path / "scores.parquet", spaces.get("nasbench201", channels=4, cells=1)
    part = scoring.score(space, "nwot,croze", count=4, out=file, progress=False)
    calls: list[object] = []
    scorer = Scorer.__call__
    monkeypatch.setattr(Scorer, "__call__", lambda self, g: (calls.append(g), scorer(self, g))[1])
    whole = scoring.score(space, "nwot,croze", count=7, out=file, progress=False)
    assert len(calls) == 3
    assert list(whole.columns) == ["nwot", "croze", "params", "flops"]
    assert whole.index[:4].tolist() == part.index.tolist()
    assert whole.columns["croze"][:4].tolist() == part.columns["croze"].tolist()
    loaded = tables.load(file)
    assert loaded.columns["nwot"].tolist() == whole.columns["nwot"].tolist()
    assert len(set(numbering.isomorphs()[whole.index])) == 7
    with pytest.raises(ArchgradError, match="other settings"):
        scoring.score(space, "nwot,croze", count=7, out=file, seed=1, progress=False)
    with pytest.raises(ArchgradError, match="other settings"):
        scoring.score(replace(space, channels=5), "nwot,croze", count=7, out=file, progress=False)
    with pytest.raises(ArchgradError, match="without synflow"):
        scoring.score(space, "synflow", count=7, out=file, progress=False)
    with pytest.raises(ArchgradError, match="written as"):
        scoring.score(space, "synflow", count=7, out=tmp_path / "scores.txt", progress=False)
    darts = scoring.score(spaces.get("darts", channels=4, cells=3), "params", count=3, progress=False)
    assert len(darts) == 3
    assert len(scoring.sample(spaces.get("nasbench201"), 100_000)) == 6466
