"""BestOfRandom: the best of what chance offers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archgrad import ArchgradError, Genotype, spaces
from archgrad.context import Context
from archgrad.discretise import BestOfRandom
from archgrad.roles import Score

SPACE = spaces.get("nasbench201")


class Threes(Score):
    """Counts one operation and remembers who asked."""

    def __init__(self) -> None:
        self.seen: list[Genotype] = []

    def __call__(self, genotype: Genotype) -> float:
        self.seen.append(genotype)
        return SPACE.digits(genotype).count("3")


def test_the_best_of_the_candidates_is_found() -> None:
    context, score = Context(replace(SPACE, channels=2, cells=1).supernet()), Threes()
    best = BestOfRandom(40)({}, context, score)
    assert len(score.seen) == 40
    assert len(set(score.seen)) > 35
    assert SPACE.digits(best).count("3") == max(SPACE.digits(g).count("3") for g in score.seen)
    assert BestOfRandom(40)({}, context, Threes()) == best


def test_one_candidate_is_not_evaluated() -> None:
    supernet, score = replace(SPACE, channels=2, cells=1).supernet(), Threes()
    found = {BestOfRandom(1)({}, Context(supernet, seed=seed), score) for seed in range(20)}
    assert len(found) > 15
    assert not score.seen


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="BestOfRandom: candidates must be a number above 0, got 0"):
        BestOfRandom(0)
    with pytest.raises(ArchgradError, match="needs a supernet"):
        BestOfRandom()({}, Context())
