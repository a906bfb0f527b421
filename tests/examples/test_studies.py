"""The studies: their campaigns can be read, their statistics are known ones, their tables find their places."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import beyond
import collapse
import collapse_spaces
import common
import flat_minima
import numpy as np
import pandas as pd
import pytest
import rankings
import rankings_darts
import ranks
import robustness
import search_worth
import together
import torch
from scipy import stats

from archgrad import spaces
from archgrad.bench.protocol.campaign import Campaign
from archgrad.bench.protocol.store import Driver
from archgrad.bench.protocol.unit import Unit
from archgrad.genotype import Genotype
from archgrad.robustness.corruptions import GROUPS
from archgrad.scoring.correlation import statistics
from archgrad.scoring.strategies import Scored
from archgrad.tables import Table

ROOT = Path(__file__).parents[2]
SUITES = ("nasbench201", "robust_darts")
CAMPAIGNS = sorted(file.stem for file in (ROOT / "studies").glob("*.yaml") if file.stem not in SUITES)


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_a_campaign_can_be_read_and_its_page_has_the_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    campaign = Campaign.load(f"studies/{name}.yaml")
    campaign.require_methods()
    assert campaign.directory == Path("studies/runs") / name
    assert {"random_genotype", "random_search"} <= set(campaign.methods)
    pages = {page.stem: page.read_text() for page in common.PAGES.glob("*.md")}
    assert "**Power.**" in pages[next(page for page in pages if name.startswith(page))]


PARTS = {
    "search_worth.md": [*search_worth.CAMPAIGNS.values(), "tests", "figure"],
    "collapse.md": ["figure", "arms", "tests", "over time", "spaces", "published"],
    "rankings.md": ["agreement", "seeds", "sizes", "images", "nine methods", "nine", "nine seeds", "nine published"],
    "robustness.md": [
        "adversarial",
        "adversarial means",
        "standard",
        "standard means",
        "searches",
        "searched",
        "seeds",
        "half",
        "darts",
    ],
    "flat_minima.md": ["figure", "gains", "published", "flatness"],
    "together.md": ["figure", "arms", "at once", "against"],
}


@pytest.mark.parametrize("name", PARTS)
def test_every_table_of_a_page_has_its_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / name
    page.write_text((common.PAGES / name).read_text())
    monkeypatch.setattr(common, "PAGES", tmp_path)
    for part in PARTS[name]:
        for text in ("| once |", "| twice |"):
            common.put(name, part, text)
    assert page.read_text().count("| twice |") == len(PARTS[name])
    assert "| once |" not in page.read_text()
    with pytest.raises(SystemExit, match="must stand there once"):
        common.put(name, "no such part", "")


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], pd.DataFrame]:
    """Results of a campaign as if its first seeds had been computed: random cells, their accuracies from a seed."""
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    space = spaces.get("nasbench201")

    def made(name: str, seeds: int) -> pd.DataFrame:
        campaign = Campaign.load(ROOT / "studies" / f"{name}.yaml")
        draw, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
        keys = list(itertools.product([name], campaign.methods, range(seeds), ["cifar10", "cifar100", "imagenet16"]))
        frame = pd.DataFrame(keys, columns=list(common.KEY))
        cells = [space.format(space.random(draw)) for _ in keys]
        return frame.assign(score=rng.normal(90, 2, len(keys)), genotype=cells)

    return made


def test_seeds_that_are_left_are_a_campaign_of_their_own(
    planted: Callable[[str, int], pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = planted("collapse", 3)
    unknown = (found.seed == 2) & (found.method == "a2m") & (found.benchmark == "imagenet16")
    common.keep(found[~unknown], "collapse")
    assert common.whole(common.kept("collapse"), "collapse") == [0, 1]
    studies = tmp_path / "studies"
    studies.mkdir()
    for name in ("collapse", "nasbench201"):
        (studies / f"{name}.yaml").write_text((ROOT / "studies" / f"{name}.yaml").read_text())
    monkeypatch.setattr(common, "HERE", studies)
    file = common.rest("collapse")
    assert file is not None
    assert Campaign.load(file).seeds == tuple(range(2, 20))
    common.keep(planted("collapse", 20).assign(score=0.0), "collapse")
    assert (common.kept("collapse").score == 0).sum() == (20 - 3) * 3 * 8 + 1, "what is kept is not replaced"
    assert len(common.kept("collapse")) == 20 * 3 * len(Campaign.load(file).methods)
    assert common.rest("collapse") is None


def test_a_page_waits_for_the_whole_campaign(
    planted: Callable[[str, int], pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "collapse.md"
    page.write_text((common.PAGES / page.name).read_text())
    monkeypatch.setattr(common, "PAGES", tmp_path)
    common.keep(planted("collapse", 19), "collapse")
    with pytest.raises(SystemExit, match="nothing is looked at before"):
        collapse.page()
    (common.RESULTS / "collapse.parquet").unlink()
    frame = planted("collapse", 20)
    collapsed = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|nor_conv_1x1~1|nor_conv_3x3~2|"
    good = collapsed.replace("skip_connect", "nor_conv_3x3")
    darts, exact = frame.method == "darts", frame.method == "lambda_exact"
    frame.loc[darts & (frame.seed < 10), "genotype"] = collapsed
    frame.loc[(darts & (frame.seed >= 10)) | exact, "genotype"] = good
    failed = darts & (frame.seed == 0)
    frame.loc[failed, ["genotype", "score"]] = None, np.nan
    common.keep(frame, "collapse")
    signs = {"epoch": 4, "alignment": 0.1, "saturation": 0.3, "eigenvalue": 0.2}
    rows = [{"method": arm, "seed": seed, **signs} for arm in ("darts", *collapse.ARMS) for seed in range(20)]
    common.keep(pd.DataFrame(rows[:-1]), "collapse_diagnostics", ("method", "seed", "epoch"))
    with pytest.raises(SystemExit, match="diagnostics of some searches are missing"):
        collapse.page()
    common.keep(pd.DataFrame(rows), "collapse_diagnostics", ("method", "seed", "epoch"))
    collapse.page()
    text = page.read_text()
    assert "| 50 % (27 … 73) |" in text  # ten of twenty, Clopper and Pearson
    p = 2 * math.comb(20, 10) / math.comb(40, 10)  # Fisher: none of twenty against ten, and the mirror image
    assert f"| lambda_exact | 0 against 10 | {p:.4f} |" in text, "a search that failed counts as collapsed"
    assert "| 10.00 |" in text, "and as guessing"
    assert "| darts | alignment | 0.100 |" in text


def test_skips_and_noise_are_counted() -> None:
    space = spaces.get("robust_darts_s4")
    cell = space.random(torch.Generator().manual_seed(0))
    count = sum("noise" in kept for kept in cell.choices["normal"])
    assert collapse_spaces.bad(space.format(cell), "s4") == count > 0
    assert collapse_spaces.bad(float("nan"), "s2") == 8  # type: ignore[arg-type]
    runs = pd.DataFrame({"space": "s1", "dataset": "cifar10", "drop_path_prob": [0, 0, 0.2], "weight_decay": 3e-4})
    normal = [[["skip_connect", 0]] * count + [["sep_conv_3x3", 1]] * (8 - count) for count in (2, 5, 1)]
    runs["normal"] = [json.dumps(cell) for cell in normal]
    row = "| S1 | cifar10 | 0.0003 | 3.5 (2 to 5), 2 searches | 1.0 (1 to 1), 1 searches |"
    assert row in collapse_spaces.published(runs)


def test_labels_are_exchanged_within_strata() -> None:
    apart = [(np.array([5.0, 6.0]), np.array([1.0, 2.0])), (np.array([15.0, 16.0]), np.array([11.0, 12.0]))]
    observed, p = flat_minima.stratified(apart)
    assert observed == pytest.approx(4.0)
    assert p == pytest.approx(2 / 36, abs=0.005)  # both strata ordered as they are, or both reversed
    assert flat_minima.verdict(-1.0, 5.0, 3.6) == "undecided"
    assert flat_minima.verdict(1.0, 5.0, 3.6) == "reproduced"
    assert flat_minima.verdict(-1.0, 2.0, 3.6) == "not reproduced"
    assert flat_minima.verdict(4.0, 5.0, 3.6) == "larger"


def test_rankings_agree_but_for_noise_or_reverse() -> None:
    rng, means = np.random.default_rng(0), np.arange(6.0)
    noise = 0.1 * rng.normal(size=(2, 6, 8))
    same = rankings.agreement(np.stack([means, means])[..., None] + noise, rng)
    assert same == pytest.approx((1.0, 1.0, 0.0), abs=1e-6)
    reversed_ = rankings.compared(np.stack([means, -means])[..., None] + noise, False, rng, draws=99)
    assert reversed_.found == pytest.approx((1.0, -1.0, 2.0), abs=1e-6)
    assert reversed_.ends[2] == pytest.approx((2.0, 2.0), abs=1e-6)
    assert reversed_.p == 0.01, "no simulated one of the same ranking"
    # one search is never in both halves: scores that are noise agree with nothing, though benchmarks share them
    shared = rng.normal(size=(1, 6, 40)).repeat(2, axis=0)
    assert abs(rankings.agreement(shared, rng).between) < 0.3


def test_unequal_noise_is_no_reversal() -> None:
    rng, means = np.random.default_rng(0), np.linspace(-1, 1, 40)
    luck = np.array([0.2, 3.0])[:, None, None] * rng.normal(size=(2, 40, 40))
    found, _, p = rankings.compared(means[:, None] + luck, False, rng, draws=99)
    assert found.within - found.between > 0.05, "an arithmetic mean is larger than a geometric one"
    assert found.shortfall < 0.03
    assert p > 0.1


def test_seeds_that_make_means_reliable() -> None:
    scores = np.random.default_rng(0).normal(size=(2000, 1)) + 2 * np.random.default_rng(1).normal(size=(2000, 20))
    reliability, seeds = rankings.seeds_needed(scores)
    assert reliability == pytest.approx(1 / (1 + 4 / 20), abs=0.02)
    assert seeds == pytest.approx(9 * 4, rel=0.1)


def test_intervals_and_tests() -> None:
    values = np.array([91.0, 92.5, 90.0, 93.0])
    half = 3.182446 * values.std(ddof=1) / 2  # t of three degrees of freedom
    assert common.mean_interval(values) == pytest.approx((91.625, 91.625 - half, 91.625 + half))
    assert common.share_interval(0, 20) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 20)))
    low, high = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    difference, *interval, p = common.difference_test(high, low)
    assert (difference, p) == pytest.approx((3.0, 2 / 20))  # the two extreme of (6 choose 3) divisions
    assert interval == pytest.approx(list(stats.ttest_ind(high, low, equal_var=False).confidence_interval()))


def test_what_is_left_given_size_is_not_what_size_explains() -> None:
    rng = np.random.default_rng(0)
    size = rng.integers(1, 29, 4000)
    accuracy = (size - 14.0) ** 2 * np.where(size > 14, 1, -0.1) + 20 * rng.normal(size=4000)
    of_size = pd.Series(accuracy).groupby(size).transform("mean").to_numpy()
    scores = np.stack([of_size, accuracy + 20 * rng.normal(size=4000)])
    found = ranks.correlation(scores, accuracy[None], statistics.explained_by(size), draws=50)
    assert np.isnan(found.value[0, 0]), "nothing is left"
    assert found.low[1, 0] > 0.3
    # A cubic takes off what follows from many different values, and equal ones leave nothing else.
    clean = rng.normal(size=4000)
    curved = statistics.given(np.exp(clean)[None] + 1e-3, accuracy[None], statistics.explained_by(clean))
    assert np.isnan(curved[0, 0])
    plain = ranks.correlation(scores[1:], accuracy[None], draws=50)
    assert plain.value[0, 0] == pytest.approx(stats.spearmanr(scores[1], accuracy).statistic)
    assert plain.low[0, 0] < plain.value[0, 0] < plain.high[0, 0]


def test_targets_are_accuracies_that_tell_networks_apart() -> None:
    space = spaces.get("nasbench201")
    values = iter(range(10**9))
    attacks = dict.fromkeys(("cifar10_clean", "cifar10_pgd_eps1", "cifar100_clean"), lambda _: float(next(values)))
    corrupted = {f"cifar10_{m}_s{level}": lambda _, level=level: float(next(values) * level)
                 for members in GROUPS.values() for m in members for level in range(1, 6)}  # fmt: skip
    made = Table.of(space, {**attacks, **corrupted, "cifar10_pgd_eps8": lambda _: 0.0})
    rows = np.arange(100)
    found = robustness.targets(made, rows)
    assert list(found) == ["clean", "pgd_eps1", "noise", "blur", "weather", "digital", "corruptions"]
    every = [made.columns[name][rows] for name in corrupted]
    assert found["corruptions"] == pytest.approx(np.mean(every, axis=0))


def test_an_ensemble_learns_what_it_is_shown() -> None:
    rng = np.random.default_rng(0)
    parts = {name: np.exp(rng.normal(size=300)) for name in ("snip", "params")}
    columns = {**parts, "nwot": rng.normal(size=300), "jacob_cov": -8 * (1 + np.exp(rng.normal(size=300)))}
    codes, index = np.array(list(itertools.product(range(5), repeat=6)))[:300], np.arange(300)
    scores = Table("scores", spaces.get("nasbench201"), codes, index, index, columns)
    truth = np.log(parts["snip"]) + np.log(parts["snip"]) * np.log(parts["params"])
    columns["nwot"][:2] = -np.inf  # networks without a ReLU, one in each half
    half = beyond.halves(300)
    assert half.sum() == 150
    fitted = beyond.Ensemble(scores, np.flatnonzero(half), [truth, 10 * truth])
    assert stats.spearmanr(fitted(scores)[~half], truth[~half]).statistic > 0.9


def test_seeds_that_were_not_run_are_no_failures() -> None:
    methods = [("five", seed, 93.0) for seed in range(5)] + [("twenty", seed, 90.0 + seed % 2) for seed in range(20)]
    frame = pd.DataFrame(
        [(*one, benchmark) for one in methods for benchmark in ("cifar10", "cifar100", "imagenet16")],
        columns=["method", "seed", "score", "benchmark"],
    )
    five, twenty = search_worth.rows(frame, np.linspace(80, 94, 1000))
    assert five[:3] == ["five", "93.00 (93.00 … 93.00)", "0.00"]
    assert five[5:7] == ["0 (0 … 52)", "0 (0 … 52)"], "none of five, Clopper and Pearson"
    assert twenty[1].startswith("90.50 (")


def test_what_failed_has_a_row_and_counts_as_guessing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "HERE", tmp_path)
    campaign = Campaign.load(ROOT / "studies" / "collapse_spaces.yaml")
    campaign = campaign.replaced(directory=tmp_path / "runs" / "collapse_spaces")
    campaign.save()
    with Driver(campaign.store) as driver:
        unit = Unit("s2", 3, "darts")
        driver.record({"unit": unit.id, **unit._asdict(), "problem": "the loss is not finite"})
    found = common.counted(common.collected(["collapse_spaces"]))
    assert found[["campaign", "method", "benchmark", "seed"]].to_numpy().tolist() == [
        ["collapse_spaces", "darts", "s2", 3]
    ]
    assert found.score.tolist() == [10.0]
    others = common.counted(pd.DataFrame({"benchmark": ["cifar10", "cifar100", "imagenet16"], "score": np.nan}))
    assert others.score.tolist() == pytest.approx([10.0, 1.0, 100 / 120])
    assert (common.skips(None), collapse_spaces.bad(None, "s2")) == (6, 8)


def test_a_front_gives_the_cell_that_ranks_best_over_all_aims() -> None:
    space = spaces.get("nasbench201")
    cells = {
        "000000": (0.0, 0.0, 9.0),
        "333333": (9.0, 7.0, -9.0),
        "222222": (8.0, 8.0, 5.0),
        "111111": (1.0, 1.0, 8.0),
    }
    front = [Scored(space.parse(text), scores) for text, scores in cells.items()]
    assert together.all_round(front) == space.parse("222222"), "second, first and second of three"
    assert together.all_round(front[:1]) == space.parse("000000"), "all of it has none"


def test_all_round_cells_are_good_in_four_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    space = spaces.get("nasbench201")

    def count(operation: str) -> Callable[[Genotype], float]:
        return lambda cell: float(sum(operation in kept for kept in cell.choices["cell"]))

    convolutions, skips = count("nor_conv_3x3"), count("skip_connect")
    columns = {"cifar10_test_200": convolutions, "flops_m": convolutions, "cifar10_pgd_eps8": skips}
    made = Table.of(
        space, columns | {f"cifar10_{name}_s{level}": skips for name in ("fog", "snow") for level in (1, 5)}
    )
    monkeypatch.setattr(together.tables, "load", lambda _: made)
    of = together.measures()
    assert len(of) == len(np.unique(made.class_rows))
    # Clean accuracy and FLOPs rank cells in opposite orders, so that their percentiles add up to the same for all.
    ranks = of.corruptions.rank(pct=True)
    assert (of.corruptions == of.pgd).all()
    assert of.all_round.to_numpy() == pytest.approx((50 * ranks + 25 * (1 + 1 / len(of))).to_numpy())
    best = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    found = together.looked_up(pd.DataFrame({"method": ["a", "a"], "seed": [0, 1], "genotype": [best, None]}))
    assert found.pgd.tolist() == [made.value(best, "cifar10_pgd_eps8"), of.pgd.min()]
    assert found.flops.tolist() == [0.0, of.flops.max()]


def test_at_once_asks_for_every_aim() -> None:
    base = pd.DataFrame({"clean": 93.0, "pgd": 44.0, "corruptions": 52.0, "flops": 90.0, "all_round": 60.0}, range(4))
    base = base.add(0.01 * np.arange(4), axis=0).assign(method="darts", seed=range(4))
    mine = base.assign(method="together", clean=base.clean - 0.4, pgd=base.pgd + 1, flops=base.flops - 9)
    lines = together.at_once(pd.concat([base, mine.assign(corruptions=base.corruptions - 1)])).splitlines()[2:]
    assert [line.split(" | ")[-1].rstrip(" |") for line in lines] == [
        f"{p:.4f}"
        for p in (1 / 70, 1 / 70, 1 - 1 / 70, 1 / 70)  # of (8 choose 4) divisions
    ]
    assert lines[0].startswith("| clean, % | -0.40 (")
    assert lines[3].startswith("| MFLOPs | -9.00 (-9.0")


@pytest.mark.parametrize(
    "program",
    [beyond, collapse, collapse_spaces, flat_minima, rankings, rankings_darts, robustness, search_worth, together],
)
def test_a_program_says_what_it_can_be_told(program: ModuleType) -> None:
    """A word that is no command gets the docstring, which lists them."""
    done = subprocess.run([sys.executable, str(program.__file__), "no-such"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == (program.__doc__ or "").strip()


def test_the_pilot_compares_the_same_networks_and_says_what_it_takes_to_tell_them_apart() -> None:
    rng = np.random.default_rng(0)
    networks = rankings_darts.planned()
    assert len(networks) == len(set(networks)) == 2 * 3 * 3 + 2 * 12 * 2 - 3
    true = {"here": rng.normal(40, 3, 400), "digits": rng.normal(97, 0.5, 400), "published": np.full(400, 50.0)}
    noise = {"here": 1.0, "digits": 1.0, "published": 0.0}
    many = [(what, "wide", cell, seed) for what in true for cell in range(400) for seed in (0, 1)]
    frame = pd.DataFrame(many, columns=list(rankings_darts.NETWORK))
    frame["accuracy"] = [true[what][cell] + rng.normal(0, noise[what]) for what, _, cell, _ in many]
    cifar, digits = (line.split(" | ")[1:] for line in rankings_darts.images(frame).splitlines()[2:])
    assert [float(cell) for cell in cifar[1:3]] == pytest.approx([3.0, 1.0], rel=0.15)
    assert float(cifar[3].strip(" |")) == pytest.approx(9 * 1 / 9, abs=0.6)
    assert float(digits[3].strip(" |")) == pytest.approx(9 * 1 / 0.25, rel=0.35)
    twice = {"a": rng.normal(0, 2, (7, 4000)), "b": rng.normal(0, 2, (7, 4000))}
    assert "| drnas, gdas | 0.55 | 104 |" in rankings_darts.published(twice), "2 · 7.849 · 4 / (2 · 0.55²)"
    both = pd.concat([frame, frame.assign(subspace="deep"), frame.assign(subspace="single_cell")])
    share = frame[(frame.what == "here") & (frame.cell < 3) & (frame.seed == 0)].accuracy.mean() / 50
    assert f"| {100 * share:.0f} % |" in rankings_darts.sizes(both)
