"""The studies: their campaigns can be read, their statistics are known ones, their tables find their places."""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
import pytest
import search_worth
from scipy import stats

from archgrad.bench.protocol.campaign import Campaign

ROOT = Path(__file__).parents[2]
CAMPAIGNS = sorted(file.stem for file in (ROOT / "studies").glob("*.yaml") if file.stem != "nasbench201")


@pytest.mark.parametrize("name", CAMPAIGNS)
def test_a_campaign_can_be_read_and_its_page_has_the_plan(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    campaign = Campaign.load(f"studies/{name}.yaml")
    assert campaign.directory == Path("studies/runs") / name
    assert {"random_genotype", "random_search"} <= set(campaign.methods)
    pages = {page.stem: page.read_text() for page in common.PAGES.glob("*.md")}
    assert "**Power.**" in pages[next(page for page in pages if name.startswith(page))]


def test_every_table_of_the_page_has_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "search_worth.md"
    page.write_text((common.PAGES / page.name).read_text())
    monkeypatch.setattr(common, "PAGES", tmp_path)
    for part in [*(f"{pairs} pairs" for pairs in search_worth.BUDGETS.values()), "tests"]:
        for text in ("| once |", "| twice |"):
            common.put(page.name, part, text)
    assert page.read_text().count("| twice |") == len(search_worth.BUDGETS) + 1
    assert "| once |" not in page.read_text()
    with pytest.raises(SystemExit, match="must stand there once"):
        common.put(page.name, "no such part", "")


def test_intervals_and_tests() -> None:
    values = np.array([91.0, 92.5, 90.0, 93.0])
    half = 3.182446 * values.std(ddof=1) / 2  # t of three degrees of freedom
    assert common.mean_interval(values) == pytest.approx((91.625, 91.625 - half, 91.625 + half))
    assert common.share_interval(0, 20) == pytest.approx((0.0, 0.0, 1 - 0.025 ** (1 / 20)))
    low, high = np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])
    difference, *interval, p = common.difference_test(high, low)
    assert (difference, p) == pytest.approx((3.0, 2 / 20))  # the two extreme of (6 choose 3) divisions
    assert interval == pytest.approx(list(stats.ttest_ind(high, low, equal_var=False).confidence_interval()))
