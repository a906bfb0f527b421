"""Genotypes as plain data, and the combinatorics of decisions."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import genotype as genotypes
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Genotype, Group

NAMES = st.text(min_size=1, max_size=6)
CHOICES = st.dictionaries(NAMES, st.lists(st.lists(NAMES, max_size=3), max_size=4), max_size=4)


@given(CHOICES, st.text(max_size=5))
def test_json_gives_the_genotype_back(choices: dict[str, list[list[str]]], space: str) -> None:
    genotype = Genotype.of(choices, space)
    again = Genotype.from_json(genotype.to_json())
    assert again == genotype
    assert hash(again) == hash(genotype)
    assert Genotype.from_dict(json.loads(json.dumps(genotype.to_dict()))) == genotype
    assert "\n" not in genotype.to_json()


@given(CHOICES)
def test_the_order_of_groups_does_not_matter(choices: dict[str, list[list[str]]]) -> None:
    backwards = dict(reversed(choices.items()))
    assert Genotype.of(choices) == Genotype.of(backwards)
    assert hash(Genotype.of(choices)) == hash(Genotype.of(backwards))


def test_equality_sees_group_edge_name_and_space() -> None:
    base = Genotype.of({"a": [["x"], ["y"]]}, "s")
    others = [
        Genotype.of({"b": [["x"], ["y"]]}, "s"),
        Genotype.of({"a": [["y"], ["x"]]}, "s"),
        Genotype.of({"a": [["x", "y"], []]}, "s"),
        Genotype.of({"a": [["x"], ["y"]]}),
    ]
    assert len({base, *others, Genotype.of({"a": (("x",), ("y",))}, "s")}) == 5


def test_it_prints_what_is_kept() -> None:
    text = str(Genotype.of({"b": [["x", "y"], [], ["z"]], "a": [[]]}, "darts"))
    assert text == "Genotype darts\n  a: nothing\n  b: 0: x + y, 2: z"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nonsense", "not JSON"),
        ("[]", "expected an object with a key 'choices'"),
        ("null", "expected an object with a key 'choices'"),
        ('{"choices": 1}', "expected an object with a key 'choices'"),
        ('{"choices": {"a": null}}', "every group needs a list of edges"),
        ('{"choices": {"a": "conv"}}', "every group needs a list of edges"),
        ('{"choices": {"a": [1]}}', "every group needs a list of edges"),
        ('{"choices": {"a": ["conv"]}}', "every group needs a list of edges"),
    ],
)
def test_bad_json_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        Genotype.from_json(text)


GROUPS = {"a": Group("a", (Edge(0, 1, ("x", "y")), Edge(0, 2, ("x",))))}


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({}, "nothing is said about the group 'a'"),
        ({"a": [["x"], ["x"]], "aa": []}, "unknown group in the genotype 'aa': did you mean 'a'"),
        ({"a": [["x"]]}, "group 'a' has 2 edges, got 1"),
        ({"a": [["z"], ["x"]]}, r"unknown operation at edge 0 \(0→1\) of group 'a' 'z'"),
        ({"a": [["x"], ["y"]]}, r"unknown operation at edge 1 \(0→2\) of group 'a' 'y'"),
        ({"a": [["x", "x"], ["x"]]}, r"edge 0 \(0→1\) of group 'a' keeps 'x' more than once"),
    ],
)
def test_a_genotype_that_does_not_fit_is_refused(choices: dict, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        genotypes.check(Genotype.of(choices), GROUPS)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Group("g", (Edge(0, 1, ()),)), "group 'g': edge 0→1 has no candidates"),
        (lambda: Group("g", (Edge(0, 1, ("x", "x")),)), "a candidate is named twice"),
        (lambda: Group("g", (Edge(0, 1, ("x", "y")),), select=3), "3 of the candidates .* must stay"),
        (lambda: Group("g", (Edge(0, 1, ("none",)),), excluded=frozenset({"none"})), "fewer can be selected"),
    ],
)
def test_an_impossible_group_is_refused(make, reason: str) -> None:
    with pytest.raises(ArchgradError, match=reason):
        make()


def test_columns_and_mask_of_edges_with_different_candidates() -> None:
    group = Group("g", (Edge(0, 1, ("b", "a")), Edge(0, 2, ("a", "c"))))
    assert group.operations == ("b", "a", "c")
    assert group.mask.tolist() == [[True, True, False], [False, True, True]]


def brute_force(group: Group) -> set[tuple]:
    """All genotypes of a group by trying every subset of candidates on every edge."""
    subsets = [
        [s for n in range(len(e.candidates) + 1) for s in itertools.combinations(e.candidates, n)] for e in group.edges
    ]
    found = set()
    for kept in itertools.product(*subsets):
        if any(set(names) & group.excluded for names in kept):
            continue
        if any(len(names) not in ((group.select,) if group.keep is None else (0, group.select)) for names in kept):
            continue
        full = all(
            sum(bool(kept[e]) for e in edges) == min(group.keep or len(edges), len(edges))
            for edges in group.incoming.values()
        )
        if full:
            found.add(kept)
    return found


OPS = ("none", "x", "y", "z")
EXAMPLES = {
    "one edge": Group("g", (Edge(0, 1, OPS),)),
    "two of four": Group("g", (Edge(0, 1, OPS),), select=2),
    "keep two": Group("g", tuple(Edge(s, t, OPS[:3]) for t in (2, 3) for s in range(t)), keep=2,
                      excluded=frozenset({"none"})),
    "keep one": Group("g", tuple(Edge(s, t, ("x", "y")) for t in (1, 2) for s in range(t)), keep=1),
    "ragged": Group("g", (Edge(0, 2, ("x",)), Edge(1, 2, OPS)), keep=1, excluded=frozenset({"none"})),
}  # fmt: skip


@pytest.mark.parametrize("group", EXAMPLES.values(), ids=EXAMPLES)
def test_size_rings_and_samples_agree_with_brute_force(group: Group) -> None:
    groups = {"g": group}
    everything = {Genotype.of({"g": kept}) for kept in brute_force(group)}
    assert genotypes.count(groups) == len(everything)
    generator = torch.Generator().manual_seed(0)
    drawn = {genotypes.sample(groups, generator) for _ in range(40 * len(everything))}
    assert drawn == everything
    parent = min(everything, key=str)
    rings = [list(genotypes.neighbours(parent, groups, radius)) for radius in range(12)]
    assert rings[0] == [parent]
    assert sorted(map(str, itertools.chain(*rings))) == sorted(map(str, everything))


def test_distance_takes_the_cheapest_matching() -> None:
    a, b = ((0, "x"), (1, "y")), ((1, "x"), (2, "y"))
    assert genotypes.slot_distance(a, b) == 2
    assert genotypes.slot_distance(a, ((0, "y"), (1, "x"))) == 2
    assert genotypes.slot_distance(a, ((1, "y"), (3, "x"))) == 1
    with pytest.raises(ArchgradError, match="keep different numbers"):
        genotypes.slot_distance(a, a[:1])


def test_neighbours_are_lazy_and_refuse_a_negative_radius() -> None:
    groups = {"g": Group("g", tuple(Edge(0, t, OPS) for t in range(1, 30)))}
    parent = genotypes.sample(groups, torch.Generator().manual_seed(0))
    assert len(list(itertools.islice(genotypes.neighbours(parent, groups, 15), 10))) == 10
    with pytest.raises(ArchgradError, match="radius must be 0 or more, got -1"):
        next(genotypes.neighbours(parent, groups, -1))


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_neighbours_are_at_the_asked_distance(seed: int, radius: int) -> None:
    groups = {"g": EXAMPLES["keep two"], "h": EXAMPLES["two of four"]}
    parent = genotypes.sample(groups, torch.Generator().manual_seed(seed))
    here = genotypes.current_settings(parent, groups)
    found = list(genotypes.neighbours(parent, groups, radius))
    assert len(set(found)) == len(found)
    for genotype in found:
        there = genotypes.current_settings(genotype, groups)
        pairs = [(a, b) for name in groups for a, b in zip(here[name], there[name], strict=True)]
        assert sum(genotypes.slot_distance(a, b) for a, b in pairs) == radius
