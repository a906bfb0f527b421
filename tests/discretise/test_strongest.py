"""Strongest on cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from archgrad import ArchgradError, Choice, InputChoice, Supernet, spaces
from archgrad.choice import Site
from archgrad.context import Context
from archgrad.discretise import Strongest
from archgrad.genotype import Edge, Group, Kept

OPS = ("none", "x", "y")
NODE = Group("g", tuple(Edge(source, 3, OPS) for source in range(3)), keep=2, excluded=frozenset({"none"}))


class Decision(Site):
    """Decisions of any group, with nothing to compute."""

    def settle(self, kept: Kept) -> nn.Module:
        return nn.Identity()


def kept(group: Group, *rows: list[float], mask: list[list[bool]] | None = None) -> Kept:
    masks = {} if mask is None else {"g": torch.tensor(mask)}
    context = Context(Supernet(Decision(group)), masks=masks)
    return Strongest()({"g": torch.tensor(rows)}, context).choices["g"]


def test_the_largest_candidate_stays() -> None:
    group = Group("g", (Edge(0, 1, OPS), Edge(0, 2, OPS)))
    assert kept(group, [0, 1, 2], [3, 1, 2]) == (("y",), ("none",))


def test_the_two_strongest_edges_of_a_node_stay() -> None:
    assert kept(NODE, [0, 0, 1], [0, 2, 0], [0, 0, 3]) == ((), ("x",), ("y",))


def test_none_takes_its_share_but_cannot_win() -> None:
    """The second edge has the largest alpha, but its ``none`` leaves x no more than 0.27."""
    assert kept(NODE, [0, 1, 0], [6, 5, 0], [0, 0, 1]) == (("x",), (), ("y",))


def test_an_edge_counts_by_its_share_and_not_by_its_alpha() -> None:
    """softmax(9, 9, 9) gives a third, softmax(0, 0, 1) more than a half."""
    assert kept(NODE, [9, 9, 9], [0, 0, 1], [0, 1, 0]) == ((), ("y",), ("x",))


def test_ties_go_to_what_is_listed_first() -> None:
    assert kept(NODE, [0, 0, 0], [0, 0, 0], [0, 0, 0]) == (("x",), ("x",), ())
    assert kept(NODE, [0, 0, 0], [0, 1, 1], [0, 1, 1]) == ((), ("x",), ("x",))


def test_alphas_too_far_apart_for_float32_are_still_told_apart() -> None:
    assert kept(NODE, [0, 30, 0], [0, 0, 31], [0, 29, 0]) == (("x",), ("y",), ())


def test_a_node_with_few_inputs_keeps_them_all() -> None:
    group = Group("g", tuple(Edge(s, t, ("x", "y")) for t in (1, 2, 3) for s in range(t)), keep=2)
    found = kept(group, *[[0, 1]] * 6)
    assert found == (("y",), ("y",), ("y",), ("y",), ("y",), ())


def test_masked_candidates_cannot_win() -> None:
    mask = [[True, False, True], [True, True, False], [True, True, True]]
    assert kept(NODE, [0, 9, 0], [0, 0, 9], [0, 0, 1], mask=mask) == (("y",), (), ("y",))


def test_candidates_that_an_edge_lacks_cannot_win() -> None:
    """Column z of the first edge and columns x, y of the second are padding."""
    group = Group("g", (Edge(0, 1, ("x", "y")), Edge(0, 2, ("z",))))
    assert kept(group, [0, 1, 9], [9, 9, 0]) == (("y",), ("z",))


def test_input_choices_keep_as_many_as_they_select_in_the_order_of_inputs() -> None:
    group = Group("g", (Edge(0, 1, ("a", "b", "c", "d")),), select=2)
    assert kept(group, [1, 0, 0, 3]) == (("a", "d"),)
    assert kept(group, [0, 0, 0, 0]) == (("a", "b"),)


def test_alphas_that_favour_a_genotype_are_settled_to_it() -> None:
    for name in spaces.SPACES:
        space = spaces.get(name)
        supernet = replace(space, channels=2, cells=1 if name.startswith("single_cell") else 3).supernet()
        generator = torch.Generator().manual_seed(0)
        for _ in range(5):
            genotype = space.random(generator)
            alphas = {g: 5.0 * rows[0] for g, rows in supernet.one_hot(genotype).items()}
            assert Strongest()(alphas, Context(supernet)) == genotype


def test_every_group_of_a_users_network_is_settled() -> None:
    net = nn.ModuleList([Choice({"a": nn.Identity(), "b": nn.Tanh()}, "g"), InputChoice(3, "i", select=2)])
    supernet = Supernet(net)
    alphas = {"g": torch.tensor([[0.0, 1.0]]), "i": torch.tensor([[0.0, 2.0, 1.0]])}
    genotype = Strongest()(alphas, Context(supernet))
    assert genotype.choices == {"g": (("b",),), "i": (("input_1", "input_2"),)}
    pruned = Context(supernet, masks={"g": torch.tensor([[True, False]])})
    assert Strongest()(alphas, pruned).choices["g"] == (("a",),)


def test_an_edge_whose_candidates_were_all_pruned_cannot_win() -> None:
    """Known error: it had no strength at all (NaN), which sorted anywhere."""
    mask = [[False, False, False], [True, True, True], [True, False, False]]
    assert kept(NODE, [9, 9, 9], [0, 1, 0], [9, 9, 9], mask=mask) == ((), ("x",), ())


def test_an_edge_that_must_stay_and_has_no_candidate_left_is_an_error() -> None:
    group = Group("g", (Edge(0, 1, OPS), Edge(0, 2, OPS)))
    with pytest.raises(ArchgradError, match=r"edge 0→2 must keep 1 of its candidates, but 0 of \['none', 'x', 'y'\]"):
        kept(group, [0, 0, 1], [0, 0, 1], mask=[[True] * 3, [False] * 3])
    choice = Group("g", (Edge(0, 1, ("a", "b", "c")),), select=2)
    with pytest.raises(ArchgradError, match="must keep 2 of its candidates, but 1 of"):
        kept(choice, [0, 0, 1], mask=[[True, False, False]])


def test_it_needs_a_supernet() -> None:
    with pytest.raises(ArchgradError, match="Strongest needs a supernet"):
        Strongest()({}, Context())
