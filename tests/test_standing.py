"""Found networks among random ones: ranks, the permutation test against all divisions, the effect size, the words."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.standing import Standing

SCORES = st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("found", "random", "rank", "percentile"),
    [
        (0.9, (0.8, 0.7, 0.6, 0.5), 1, 100.0),
        (0.65, (0.8, 0.7, 0.6, 0.5), 3, 50.0),
        (0.4, (0.8, 0.7, 0.6, 0.5), 5, 0.0),
        (0.7, (0.8, 0.7, 0.7, 0.5), 2, 50.0),  # ties share the better rank and count half
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_rank_and_percentile(found: float, random: tuple[float, ...], rank: int, percentile: float, sign: int) -> None:
    standing = Standing((sign * found,), tuple(sign * score for score in random), higher_is_better=sign > 0)
    assert (standing.rank(sign * found), standing.percentile(sign * found)) == (rank, percentile)
    assert standing.superiority == percentile / 100
    assert standing.best == sign * max(random)


def test_spread_is_the_sample_standard_deviation() -> None:
    standing = Standing((0.9,), (0.8, 0.6))
    assert standing.mean == pytest.approx(0.7)
    assert standing.std == pytest.approx(0.2 / math.sqrt(2))
    assert Standing((0.9,), (0.8,)).std is None


@given(SCORES, SCORES, st.booleans())
def test_the_p_value_is_the_share_of_divisions_that_are_as_extreme(
    found: tuple[float, ...], random: tuple[float, ...], higher: bool
) -> None:
    sign = 1 if higher else -1
    whole = [sign * score for score in (*found, *random)]

    def difference(chosen: tuple[int, ...]) -> float:
        rest = [whole[i] for i in range(len(whole)) if i not in chosen]
        return statistics.fmean(whole[i] for i in chosen) - statistics.fmean(rest)

    divisions = list(itertools.combinations(range(len(whole)), len(found)))
    observed = difference(tuple(range(len(found))))
    extreme = sum(difference(chosen) >= observed - 1e-12 for chosen in divisions)
    standing = Standing(found, random, higher)
    assert standing.p_value == pytest.approx(extreme / len(divisions))
    assert standing.smallest_p == pytest.approx(1 / len(divisions))
    better = [(sign * (a - b) > 0) + 0.5 * (a == b) for a in found for b in random]
    assert standing.superiority == pytest.approx(statistics.fmean(better))


def test_many_networks_are_divided_at_random_and_always_alike() -> None:
    standing = Standing(tuple(0.5 + i / 100 for i in range(20)), tuple(0.45 + i / 100 for i in range(20)))
    assert standing.p_value == Standing(standing.found, standing.random).p_value
    # The difference of means, 0.05, in units of its deviation over all divisions: normal to a good approximation.
    whole = [*standing.found, *standing.random]
    sigma = statistics.stdev(whole) * math.sqrt(1 / 20 + 1 / 20)
    assert standing.p_value == pytest.approx(1 - statistics.NormalDist().cdf(0.05 / sigma), abs=0.01)


def words(*scores: tuple[float, ...]) -> str:
    return Standing(*scores).verdict("test accuracy", lambda score: f"{score:.1%}")


def test_the_verdict_says_what_the_numbers_say() -> None:
    cloud = tuple(0.7 + i / 100 for i in range(10))
    assert words((0.85, 0.86, 0.87), cloud) == (
        "Better than chance: 3 found networks have a mean test accuracy of 86.0%, 10 random networks, trained the same "
        "way, have a mean of 74.5% (permutation test p = 0.0035; effect size 1.00, where 0.5 is none)."
    )
    assert words((0.74, 0.75, 0.73), cloud).startswith("Not better than chance: ")
    alone = words((0.85,), cloud)
    assert alone == (
        "Too few searches to be told from chance: the found network has a test accuracy of 85.0%, 10 random networks, "
        "trained the same way, have a mean of 74.5% (permutation test p = 0.091; effect size 1.00, where 0.5 is none). "
        "With so few p cannot be below 0.091."
    )
    assert words((0.85,), tuple(0.6 + i / 100 for i in range(20))).startswith("Better than chance")
    assert "one random network, trained the same way, has 70.0%" in words((0.85,), (0.7,))
