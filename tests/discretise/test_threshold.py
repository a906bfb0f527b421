"""FairDARTS: sigmoid strength, a threshold, and at most two edges per node."""

from __future__ import annotations

from dataclasses import replace

import torch

from archgrad import spaces
from archgrad.context import Context
from archgrad.discretise import Strongest, Threshold

SPACE = spaces.get("darts")


def test_only_strong_candidates_stay_and_at_most_two_edges_per_node() -> None:
    supernet = replace(SPACE, channels=2, cells=3).supernet()
    alphas = {g: torch.full_like(a, -3.0) for g, a in supernet.alphas.items()}
    normal, operations = alphas["normal"], SPACE.operations
    # Node 2: one strong edge. Node 3: all three strong. Nodes 4 and 5: nothing is.
    normal[0, operations.index("sep_conv_3x3")] = 3.0
    for edge, value in ((2, 2.5), (3, 4.0), (4, 3.0)):
        normal[edge, operations.index("skip_connect")] = value
    kept = Threshold(0.85)(alphas, Context(supernet)).choices
    expected: list[tuple[str, ...]] = [()] * 14
    expected[0], expected[3], expected[4] = ("sep_conv_3x3",), ("skip_connect",), ("skip_connect",)
    assert kept["normal"] == tuple(expected)
    assert kept["reduce"] == ((),) * 14
    network = replace(SPACE, channels=2, cells=3).network(Threshold(0.85)(alphas, Context(supernet)))
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)


def test_edges_are_ranked_by_the_sigmoid_not_by_the_softmax() -> None:
    """Known error of a published library: the softmax prefers an edge with one middling candidate to strong rivals."""
    supernet = replace(SPACE, channels=2, cells=3).supernet()
    alphas = {g: torch.full_like(a, -9.0) for g, a in supernet.alphas.items()}
    normal, operations = alphas["normal"], SPACE.operations
    convolution, skip = operations.index("sep_conv_3x3"), operations.index("skip_connect")
    normal[2, convolution], normal[2, skip] = 6.0, 5.9  # two strong rivals: softmax ½, sigmoid .998
    normal[3, convolution], normal[3, skip] = 6.1, 6.0
    normal[4, convolution] = 2.0  # alone and weaker: softmax 1, sigmoid .88
    by_sigmoid, by_softmax = Threshold()(alphas, Context(supernet)), Strongest()(alphas, Context(supernet))
    assert [bool(names) for names in by_sigmoid.choices["normal"][2:5]] == [True, True, False]
    assert by_softmax.choices["normal"][4]


def test_nasbench201_keeps_one_operation_per_edge() -> None:
    space = spaces.get("nasbench201")
    supernet = replace(space, channels=2, cells=1).supernet()
    genotype = Threshold()(dict(supernet.alphas.items()), Context(supernet))
    assert space.digits(genotype) == space.digits(Strongest()(dict(supernet.alphas.items()), Context(supernet)))


def test_a_node_with_fewer_inputs_is_written_as_json_and_read_back() -> None:
    supernet = replace(SPACE, channels=2, cells=3).supernet()
    genotype = Threshold()({g: torch.full_like(a, -3.0) for g, a in supernet.alphas.items()}, Context(supernet))
    assert SPACE.parse(SPACE.format(genotype)) == genotype
