"""Searches by score: what they find against brute force, and what they never do."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest

from archgrad import spaces
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.randomness import generator
from archgrad.scoring import strategies
from archgrad.scoring.strategies import ParetoEvolution, Random, RegularisedEvolution, Scored, Strategy, WarmUpMove
from archgrad.scoring.strategies.pareto import by_rank_and_crowding, crowding_distance, domination_ranks
from archgrad.spaces import Darts

pytest.importorskip("moocore")  # the extra `pareto`

SPACE = spaces.get("nasbench201")
SMALL = Darts(candidates=("none", "skip_connect", "sep_conv_3x3"), steps=2, multiplier=2)  # 2,304 genotypes
WEIGHT = {"none": 0.0, "skip_connect": 1.0, "nor_conv_1x1": 2.5, "nor_conv_3x3": 3.0, "avg_pool_3x3": 0.5}


def additive(genotype: Genotype) -> tuple[float]:
    """One term per edge: every local optimum is the global one, all 3×3 convolutions."""
    return (sum((i + 1) * WEIGHT[names[0]] for i, names in enumerate(genotype.choices["cell"])),)


def found(strategy: Strategy, budget: int, seed: int = 0, **options: object) -> list[Scored]:
    return list(strategies.explore(SPACE, additive, strategy, budget, seed=seed, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", [WarmUpMove(10), RegularisedEvolution(20, 5), Random(), ParetoEvolution(10)])
def test_nothing_is_scored_twice_and_the_budget_is_kept(strategy: Strategy) -> None:
    seen = found(strategy, 120)
    assert len({c.genotype for c in seen}) == len(seen) == 120
    assert strategies.best(seen).scores[0] == max(c.scores[0] for c in seen)


@pytest.mark.parametrize("strategy", [WarmUpMove(10), RegularisedEvolution(20, 5), ParetoEvolution(10)])
def test_following_the_score_finds_the_best_of_all_15625_cells(strategy: Strategy) -> None:
    assert SPACE.digits(strategies.best(found(strategy, 400)).genotype) == "333333"
    assert SPACE.digits(strategies.best(found(Random(), 400)).genotype) != "333333"


@pytest.mark.parametrize("strategy", [WarmUpMove(10), RegularisedEvolution(20, 5), Random(), ParetoEvolution(10)])
def test_going_on_from_a_list_is_as_if_it_had_never_stopped(strategy: Strategy) -> None:
    whole = found(strategy, 80)
    for cut in (0, 7, 35, 80):
        assert [*whole[:cut], *found(strategy, 80, seen=whole[:cut])] == whole
    assert found(strategy, 80, seed=1) != whole


def test_moves_start_from_the_best_ever() -> None:
    seen = found(WarmUpMove(10), 100)
    for number in range(10, 100):
        parent = strategies.best(seen[:number])
        ring = set(SPACE.neighbours(parent.genotype))
        if not ring <= {c.genotype for c in seen[:number]}:
            assert seen[number].genotype in ring


def test_evolution_takes_parents_from_the_youngest_only() -> None:
    strategy = RegularisedEvolution(population=20, tournament=20)  # the whole population: its best is the parent
    seen = found(strategy, 100)
    for number in range(20, 100):
        parent = strategies.best(seen[number - 20 : number])
        ring = set(SPACE.neighbours(parent.genotype))
        if not ring <= {c.genotype for c in seen[:number]}:
            assert seen[number].genotype in ring


def test_mutation_is_one_edit_and_leaves_the_parent_as_it_was() -> None:
    for space in (SPACE, SMALL):
        parent = space.random(generator(0, space.name))
        kept, text = copy.deepcopy(parent), space.format(parent)
        children = [strategies.mutated(parent, space, generator(seed, "child")) for seed in range(30)]
        assert {space.distance(parent, child) for child in children} == {1}
        assert len(set(children)) >= 8
        assert parent == kept
        assert space.format(parent) == text


def test_the_whole_of_a_small_space_is_found_and_then_it_ends() -> None:
    tiny = Darts(candidates=("skip_connect", "sep_conv_3x3"), steps=1, multiplier=1)
    seen = list(strategies.explore(tiny, lambda _: (1.0,), WarmUpMove(3), 1000))
    assert len(seen) == tiny.count


def test_what_is_not_allowed_is_never_scored() -> None:
    def allowed(genotype: Genotype) -> bool:
        return SPACE.digits(genotype).count("3") <= 2

    seen = found(WarmUpMove(10), 150, allowed=allowed)
    assert all(allowed(c.genotype) for c in seen)
    best = max((g for g in map(SPACE.parse, digits()) if allowed(g)), key=additive)
    assert additive(strategies.best(seen).genotype) == additive(best)
    assert found(Random(), 5, allowed=lambda _: False) == []


def digits() -> list[str]:
    return ["".join(t) for t in itertools.product("01234", repeat=6)]


def test_scores_that_are_no_numbers_are_the_worst() -> None:
    values = iter([math.nan, 1.0, math.inf, -5.0])
    seen = list(strategies.explore(SPACE, lambda _: (next(values),), Random(), 4))
    assert [c.scores[0] for c in seen] == [-math.inf, 1.0, -math.inf, -5.0]
    assert strategies.best(seen).scores[0] == 1.0


def brute_force_ranks(values: np.ndarray) -> list[int]:
    ranks: dict[int, int] = {}
    left, rank = set(range(len(values))), 0
    while left:
        beaten = {i for i in left for j in left if (values[j] >= values[i]).all() and (values[j] > values[i]).any()}
        ranks |= dict.fromkeys(left - beaten, rank)
        left, rank = beaten, rank + 1
    return [ranks[i] for i in range(len(values))]


@pytest.mark.parametrize("seed", range(5))
def test_fronts_against_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, (60, 3)).astype(float)  # with many ties
    values[rng.random((60, 3)) < 0.05] = -np.inf
    ranks = brute_force_ranks(values)
    assert domination_ranks(values).tolist() == ranks
    seen = [Scored(SPACE.random(generator(i)), tuple(row)) for i, row in enumerate(values.tolist())]
    assert strategies.front(seen) == [c for c, rank in zip(seen, ranks, strict=True) if rank == 0]
    ordered = np.array(ranks)[by_rank_and_crowding(values)]
    assert (np.diff(ordered) >= 0).all()


def test_crowding_distance_by_hand() -> None:
    values = np.array([[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [10.0, 0.0]])
    assert crowding_distance(values).tolist() == [np.inf, 3 / 10 + 5 / 10, 9 / 10 + 6 / 10, np.inf]


def test_pareto_evolution_finds_the_front_of_a_whole_space() -> None:
    def two(genotype: Genotype) -> tuple[float, float]:
        names = [names[0] for names in genotype.choices["cell"]]
        return float(names.count("nor_conv_3x3")), -float(sum(WEIGHT[n] > 1 for n in names)) + names.count("none") / 10

    everything = [Scored(g, two(g)) for g in map(SPACE.parse, digits())]
    best = {c.scores for c in strategies.front(everything)}
    seen = list(strategies.explore(SPACE, two, ParetoEvolution(30), 500))
    assert {c.scores for c in strategies.front(seen)} == best


def test_mistakes() -> None:
    with pytest.raises(ArchgradError, match="unknown strategy 'moves': did you mean 'move'"):
        strategies.get("moves")
    with pytest.raises(ArchgradError, match="tournament of 30 needs a population"):
        RegularisedEvolution(20, 30)
