"""Where the found architecture stands among random ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from archgrad.report.comparison import AmongRandom, comparison, ordinal
from archgrad.report.rundata import RunData


@pytest.mark.parametrize(
    ("found", "others", "rank", "percentile"),
    [
        (0.9, (0.8, 0.7, 0.6, 0.5), 1, 100.0),
        (0.65, (0.8, 0.7, 0.6, 0.5), 3, 50.0),
        (0.4, (0.8, 0.7, 0.6, 0.5), 5, 0.0),
        (0.7, (0.8, 0.7, 0.7, 0.5), 2, 50.0),  # ties share the better rank and count half
    ],
)
def test_rank_and_percentile(found: float, others: tuple[float, ...], rank: int, percentile: float) -> None:
    standing = AmongRandom(found, others)
    assert (standing.rank, standing.percentile, standing.size) == (rank, percentile, 5)


def test_spread_is_the_sample_standard_deviation() -> None:
    standing = AmongRandom(0.9, (0.8, 0.6))
    assert standing.mean == pytest.approx(0.7)
    assert standing.std == pytest.approx(0.2 / math.sqrt(2))
    assert AmongRandom(0.9, (0.8,)).std is None


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )


def test_planted_trainings_are_ranked_and_drawn_once_each(plant: Callable[..., Path]) -> None:
    data = RunData.read(plant(found=0.97, random=(0.96, 0.98, 0.97, 0.95)))
    standing = AmongRandom.of(data)
    assert standing is not None
    assert (standing.rank, standing.percentile, standing.best) == (2, 62.5, 0.98)
    body = comparison(data).body
    assert len(re.findall("<circle", body)) == 4
    assert body.count('class="found"') == 1
    ranks = re.findall(r'<td class="number">(\d+)</td><td><(?:span|strong) class="nowrap">([\w-]+)<', body)
    assert ranks[0] == ("1", "random-01")
    assert sorted(ranks[1:3]) == [("2", "found"), ("2", "random-02")]
    assert ranks[3:] == [("4", "random-00"), ("5", "random-03")]


def test_dots_do_not_cover_each_other(plant: Callable[..., Path]) -> None:
    body = comparison(RunData.read(plant(random=[0.96] * 6 + [0.961] * 5 + [0.99]))).body
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', body)]
    assert len(dots) == 12
    gaps = [math.dist(a, b) for i, a in enumerate(dots) for b in dots[:i]]
    assert min(gaps) >= 12  # the diameter


def test_without_trainings_the_command_is_shown(plant: Callable[..., Path]) -> None:
    assert "archgrad train run --random 10" in comparison(RunData.read(plant(found=None, random=()))).body


def test_a_training_in_progress_is_named_and_not_counted(plant: Callable[..., Path]) -> None:
    directory = plant(random=(0.96, 0.99))
    (directory / "train/random-01/result.json").unlink()
    data = RunData.read(directory)
    standing = AmongRandom.of(data)
    assert standing is not None
    assert standing.others == (0.96,)
    assert "Without a test accuracy yet: random-01." in comparison(data).body
