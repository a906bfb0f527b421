"""PC-DARTS' genotype is read from softmax(α)·β."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archgrad import ArchgradError, Supernet
from archgrad.choice import Site
from archgrad.context import Context
from archgrad.discretise import EdgeNormalised, Strongest
from archgrad.genotype import Edge, Group, Kept

OPS = ("none", "x", "y")
EDGES_OF_TWO_NODES = (*(Edge(s, 2, OPS) for s in range(2)), *(Edge(s, 3, OPS) for s in range(3)))
GROUP = Group("g", EDGES_OF_TWO_NODES, keep=2, excluded=frozenset({"none"}))


class Decision(Site):
    def settle(self, kept: Kept) -> nn.Module:
        return nn.Identity()


ALPHA = torch.tensor([[0.0, 1, 0], [0, 0, 1], [0, 2, 0], [0, 0, 1.5], [0, 1, 0]])


def test_beta_decides_which_edges_stay() -> None:
    """Known error: β was ignored in the genotype, which then kept edges that the supernet hardly read."""
    context = Context(Supernet(Decision(GROUP)))
    flat = {"g": ALPHA, "g@edges": torch.zeros(5, 1)}
    assert EdgeNormalised()(flat, context) == Strongest()({"g": ALPHA}, context)
    assert Strongest()({"g": ALPHA}, context).choices["g"] == (("x",), ("y",), ("x",), ("y",), ())
    steep = {"g": ALPHA, "g@edges": torch.tensor([[0.0], [0], [-3], [0], [1]])}
    assert EdgeNormalised()(steep, context).choices["g"] == (("x",), ("y",), (), ("y",), ("x",))


def test_shares_are_of_a_node_and_not_of_the_cell() -> None:
    context = Context(Supernet(Decision(GROUP)))
    lifted = torch.zeros(5, 1)
    lifted[2:] = 50.0  # all edges of the second node alike
    assert EdgeNormalised()({"g": ALPHA, "g@edges": lifted}, context) == Strongest()({"g": ALPHA}, context)


def test_hand_computed() -> None:
    """Strengths 0.5·0.9 = 0.45 and 0.8·0.1 = 0.08: the order turns around."""
    group = Group("g", (Edge(0, 2, ("x", "y")), Edge(1, 2, ("x", "y"))), keep=1)
    alphas = {"g": torch.tensor([[0.0, 0.0], [0.0, 1.3863]]), "g@edges": torch.tensor([[2.1972], [0.0]])}
    context = Context(Supernet(Decision(group)))
    assert Strongest()({"g": alphas["g"]}, context).choices["g"] == ((), ("y",))
    assert EdgeNormalised()(alphas, context).choices["g"] == (("x",), ())


def test_pruned_candidates_cannot_win() -> None:
    mask = GROUP.mask.clone()
    mask[2, 1] = False
    context = Context(Supernet(Decision(GROUP)), masks={"g": mask})
    found = EdgeNormalised()({"g": ALPHA, "g@edges": torch.tensor([[0.0], [0], [5], [0], [0]])}, context)
    assert found.choices["g"][2] == ("y",)


def test_without_edge_parameters_it_is_refused() -> None:
    with pytest.raises(ArchgradError, match="no edge parameters: add the modifier EdgeNormalisation"):
        EdgeNormalised()({"g": ALPHA}, Context(Supernet(Decision(GROUP))))
