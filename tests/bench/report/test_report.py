"""The report: complete, self-contained, right about planted campaigns, fast."""

from __future__ import annotations

import csv
import io
import math
import re
import time
import urllib.parse
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from planted import planted
from planted_suite import METHODS, planted_suite

from archgrad.bench.commands import report
from archgrad.bench.report import tables
from archgrad.bench.report.conclusions import conclusions
from archgrad.bench.report.figures import method_colours
from archgrad.bench.report.page import render, write
from archgrad.bench.report.sections.collapse import _skips
from archgrad.bench.statistics import analyse
from archgrad.bench.statistics.results import Result, Results
from archgrad.bench.statistics.selection import selection
from archgrad.errors import ArchgradError
from archgrad.figures.ranks import critical_difference
from archgrad.figures.scatter import Spot, front_of

VOID = {"meta"}


class Page(HTMLParser):
    """Checks that every element is closed; collects what points outside and the embedded files."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.files: dict[str, str] = {}
        self.words: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        for name in ("href", "src"):
            if value := named.get(name):
                self.addresses.append(value)
        if "download" in named:
            address = str(named["href"])
            assert address.startswith("data:text/csv")
            self.files[str(named["download"])] = urllib.parse.unquote(address.split(",", 1)[1])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def suite() -> Results:
    return planted_suite(2, epochs=5)


@pytest.fixture(scope="module")
def page(suite: Results) -> Page:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Page(render(analyse(suite, resamples=200)))


def test_the_page_has_every_section_and_needs_nothing_outside(page: Page) -> None:
    for title in (
        "Summary", "Ranks", "Benchmarks", "Settings", "Agreement of rankings", "Pairs of methods", "Aggregates",
        "Spread", "Power", "Cost", "Choosing by supernet loss", "Collapse", "Learning curves",
    ):  # fmt: skip
        assert f"#{title.lower().replace(' ', '-')}" in page.addresses
    assert "cannot be shown" not in page.text
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert "1 of 1,782 results have no score and are left out (pc_darts 1)" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_every_figure_carries_its_data(page: Page, suite: Results) -> None:
    analysis = analyse(suite, resamples=200)
    names = {name.removesuffix(".csv") for name in page.files}
    wanted = {"average_ranks", "benchmarks", "cells", "best_settings", "tau_benchmarks", "tau_settings", "pairs",
              "iqm", "spread", "power", "pareto_parameters", "pareto_search_seconds", "skips", "train_loss",
              "evaluation_accuracy", "choosing"}  # fmt: skip
    assert wanted <= names
    assert sum(name.startswith("ranks_") for name in names) == 9
    rows = list(csv.DictReader(io.StringIO(page.files["cells.csv"])))
    assert len(rows) == int((analysis.everything.counts > 0).sum())
    first = rows[0]
    cube = analysis.everything
    place = [cube.methods.index(first["method"]), cube.benchmarks.index(first["benchmark"])]
    place.append(cube.settings.index(first["setting"]))
    assert float(first["mean"]) == pytest.approx(cube.cells[tuple(place)], rel=1e-5)


def test_names_cannot_become_code() -> None:
    units = [Result(m, "<b>&", "1", s, score=80.0 + s) for m in ("<script>alert(1)</script>", "b\"'") for s in (0, 1)]
    text = render(analyse(Results.of(units, title="</title><script>"), resamples=100))
    assert "<script" not in text
    Page(text)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 1), (1, 3, 2), (2, 2, 1), (3, 1, 4), (14, 2, 30)])
@pytest.mark.parametrize("searches", [1, 2])
def test_every_size_of_campaign_has_a_whole_page(shape: tuple[int, int, int], searches: int) -> None:
    means = 80 + np.arange(math.prod(shape), dtype=float).reshape(shape) / 10
    names = [f"method_{i}" for i in range(shape[0])]
    results = planted(means, searches=searches, search_noise=0.1, methods=names)
    text = Page(render(analyse(results, resamples=100))).text
    assert "cannot be shown" not in text
    assert not re.search(r"\bnan\b", text)


def test_damaged_extras_cost_at_most_their_own_figure() -> None:
    results = planted_suite(1, epochs=3)
    frame = results.frame.copy()
    frame.loc[:9, "extra"] = '{"curves": {"train_loss": {"x": [1], "y": ["a"]}}, "skips": true, "search_loss": {}}'
    frame.loc[10:19, "extra"] = "not json"
    frame.loc[20:29, "extra"] = '{"curves": [1, 2], "diagnostics": {"x": 3}}'
    text = Page(render(analyse(Results(frame), resamples=100))).text
    assert "cannot be shown" not in text


def test_the_conclusions_of_a_planted_reversal() -> None:
    means = np.zeros((4, 4, 3)) + np.array([0.0, 8.0, 3.0])
    means[:, :2] += np.arange(4.0)[:, None, None]
    means[:, 2:] -= np.arange(4.0)[:, None, None]
    said = " ".join(conclusions(analyse(planted(means, searches=3, search_noise=0.01), resamples=100)))
    assert "0 of 6 pairs of methods differ" in said, "every mean over the benchmarks is the same"
    assert "τ = −0.33 on average" in said
    assert "4 of 6 pairs of benchmarks have more pairs of methods in opposite order than in the same one" in said
    assert "Setting 2 is the best one in 16 of 16 cases" in said
    assert "On 4 of 4 benchmarks the training setting matters more" in said


def test_the_conclusions_say_which_methods_beat_a_random_baseline() -> None:
    means = np.zeros((5, 4, 2)) + np.array([5.0, 0.0, -5.0, 0.0, 4.0])[:, None, None]
    names = ["good", "same", "bad", "random_genotype", "random_search"]
    said = conclusions(analyse(planted(means, searches=3, search_noise=0.1, methods=names), resamples=100))
    assert (
        "Of 3 methods, compared with random_genotype: 1 better (good), 1 worse (bad), 1 not told apart from it." in said
    )
    assert "Of 3 methods, compared with random_search: 1 better (good), 2 worse (same, bad)." in said
    frame = planted(means, searches=2, search_noise=0.1, methods=names).frame
    partly = " ".join(conclusions(analyse(Results(frame[(frame.method != "same") | (frame.seed == 0)]), resamples=100)))
    assert "cannot be told for 4 of 10 pairs" in partly
    assert "1 better (good), 1 worse (bad), 1 unknown." in partly
    alone = conclusions(analyse(planted(means, searches=1, methods=names), resamples=100))
    assert not any("compared with random" in claim for claim in alone), "one search each tells nothing"


def test_the_conclusions_of_the_published_runs(published: Results) -> None:
    said = " ".join(conclusions(analyse(published, resamples=100)))
    assert "cannot be told for 21 of 21 pairs" in said
    assert "its smallest corrected p is 0.082" in said
    assert "53 of 63 cases" in said
    assert "On 7 of 9 benchmarks the training setting matters more than the method" in said


def test_the_tables_for_papers(published: Results, tmp_path: Path) -> None:
    page, files = write(published, tmp_path / "out" / "r.html", resamples=100)
    assert page.is_file()
    assert {path.suffix for path in files} == {".csv", ".tex"}
    accuracy = (tmp_path / "out" / "r-tables" / "accuracy.tex").read_text()
    assert r"$87.63 \pm 2.32$" in accuracy, "wide-regular, DARTS"
    assert r"$72.00 \pm 1.45$" in accuracy, "single_cell-no_skip, DARTS"
    assert r"average rank & 2.67 & 2.78 & 3.11 & 3.89 & 4.78 & 5.00 & 5.78 \\" in accuracy
    assert accuracy.count(r"\mathbf") == 9
    for path in files:
        text = path.read_text()
        if path.suffix == ".tex":
            widths = {line.count("&") - line.count(r"\&") for line in text.splitlines() if line.endswith(r"\\")}
            assert len(widths) == 1
            assert not re.search(r"(?<!\\)_", re.sub(r"\\label\{.*?\}", "", text)), "underscores are escaped"
            assert text.count("{") == text.count("}")
        else:
            assert len({len(row) for row in csv.reader(io.StringIO(text))}) == 1


def test_the_ranks_of_a_setting_in_the_file_are_those_of_the_scores(published: Results) -> None:
    frame = tables.cells(analyse(published, resamples=100))
    expected = published.frame.groupby(["benchmark", "setting"]).score.rank(ascending=False, method="average")
    ours = frame.sort_values(["method", "benchmark", "setting"])["rank"].to_numpy()
    assert ours.tolist() == expected.to_numpy().tolist()


def test_choosing_by_loss_by_hand() -> None:
    """Scores 80, 82, 87 with losses 0.1, 0.3, 0.2: the lowest loss chose 80, 3 below the mean of 83."""
    units = [
        Result("a", "x", h, s, score=score + (h == "1"), extra={"search_loss": loss})
        for s, (score, loss) in enumerate([(79.5, 0.1), (81.5, 0.3), (86.5, 0.2)])
        for h in ("1", "2")
    ]
    (found,) = selection(Results.of([*units, Result("b", "x", "1", score=1.0, extra={"search_loss": 1.0})]))
    assert (found.method, found.chosen, found.best, found.worst) == ("a", -3.0, 4.0, -3.0)
    assert found.tau == pytest.approx(-1 / 3)


def test_choosing_by_loss_leaves_out_searches_that_lack_a_setting() -> None:
    scores = {"1": 90.0, "2": 70.0}
    units = [
        Result("a", "x", h, i, score=score + i, extra={"search_loss": i / 10})
        for i in range(3)
        for h, score in scores.items()
        if (i, h) != (0, "2")
    ]
    (found,) = selection(Results.of(units))
    assert (found.chosen, found.best, found.worst) == (-0.5, 0.5, -0.5)


def test_the_front_is_what_nobody_beats() -> None:
    spots = [Spot(n, x, y, "", "") for n, x, y in (("a", 1, 1), ("b", 2, 3), ("c", 3, 2), ("d", 2, 2), ("e", 4, 3.5))]
    assert [spot.name for spot in front_of(spots)] == ["a", "b", "e"]


def test_the_critical_difference_diagram_places_ranks_on_its_axis() -> None:
    methods = ("a", "b", "c")
    drawn = critical_difference("", methods, [1.0, 2.0, 3.0], [(0, 1)], 1.5, method_colours(methods))
    x = [float(value) for value in re.findall(r'cx="([\d.]+)"', drawn)]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    bar = re.search(r'<line x1="([\d.]+)" x2="([\d.]+)"[^>]*class="group"', drawn)
    assert bar is not None
    assert float(bar[1]) < x[0] < x[1] < float(bar[2]) < x[2]
    width = re.search(r'd="M([\d.]+) 14v8M[\d.]+ 18H([\d.]+)', drawn)
    assert width is not None
    assert float(width[2]) - float(width[1]) == pytest.approx(1.5 * (x[1] - x[0]), abs=0.3)


def test_skips_are_counted_in_the_notation() -> None:
    nasbench = "|skip_connect~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|"
    assert _skips({}, nasbench) == pytest.approx(2 / 6)
    assert _skips({"skips": 0.25}, nasbench) == 0.25
    assert math.isnan(_skips({}, ""))


def test_baselines_are_grey_and_methods_keep_their_colour() -> None:
    colours = method_colours(METHODS)
    assert colours["random_genotype"] != colours["random_search"]
    assert len({c for m, c in colours.items() if not m.startswith("random")}) == len(METHODS) - 2
    assert colours == method_colours(list(reversed(METHODS)))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    source = planted(np.arange(8.0).reshape(2, 2, 2), search_noise=0.1).save("mine.parquet")
    report(from_=str(source), resamples=100)
    assert capsys.readouterr().out.startswith("report: mine-report.html")
    assert (tmp_path / "mine-report.html").is_file()
    report(from_=str(source), out="here", resamples=100)
    assert (tmp_path / "here" / "report.html").is_file()
    with pytest.raises(ArchgradError, match="either a campaign, or --from"):
        report()
    with pytest.raises(ArchgradError, match="resamples must be 100 or more"):
        report(from_=str(source), resamples=10)


@pytest.mark.slow
def test_a_hundred_thousand_units_report_within_a_minute(tmp_path: Path) -> None:
    means = np.random.default_rng(0).normal(80, 2, (10, 9, 9))
    path = planted(means, searches=124, search_noise=0.5, noise=0.3).save(tmp_path / "many.parquet")
    start = time.process_time()  # one thread; the wall clock would measure what else the machine does
    results = Results.load(path)
    assert len(results) == 100_440
    page, _ = write(results, tmp_path / "r.html")
    assert time.process_time() - start < 60
    assert page.stat().st_size < 5e6
