"""Every executor against ``plain`` in float64: output, gradients of mixture and weights, running statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from random_cells import cells, computed, drawn, step
from torch import Tensor

from archgrad import spaces
from archgrad.engine import EXECUTORS, forced
from archgrad.engine.native import available
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge
from archgrad.spaces.darts import Darts
from archgrad.spaces.nasbench201 import NASBench201

FAST = sorted(set(EXECUTORS) - {"plain", "native"})  # native code knows no float64: tests/engine/native
SPACES = {"darts": Darts(channels=4, cells=3), "nasbench201": NASBench201(channels=4, cells=1)}


ROUNDING = 1e-8
"""Below this, gradients of inputs of size 1 in float64 are zero: rounding, normalised twice."""


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-10) -> None:
    """Relative to the largest entry; gradients that are zero but for rounding are compared on the scale of all.

    What is nothing but rounding on both sides is not compared: nodes that normalise constant maps multiply it by 1/√ε.
    """
    scale = max(t.double().abs().max() for t in expected.values() if t.numel())
    for name, reference in expected.items():
        if reference.numel() and max(found[name].double().abs().max(), reference.double().abs().max()) < ROUNDING:
            continue
        difference = (found[name] - reference).double().abs()
        allowed = tolerance * (reference.double().abs().max() + 1e-3 * scale) if reference.numel() else 0
        assert (difference <= allowed).all(), (name, difference.max(), reference.abs().max())


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("executor", FAST)
@pytest.mark.parametrize(("affine", "track"), [(False, True), (True, True), (False, False)])
@pytest.mark.parametrize("training", [True, False])
def test_equals_plain_on_a_space(space: str, executor: str, affine: bool, track: bool, training: bool) -> None:
    found = []
    for name in ("plain", executor):
        torch.manual_seed(0)
        net = SPACES[space].supernet(affine=affine, track=track, executor=name).double()
        x = torch.randn(2, 3, 12, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        if affine:  # the layout in which searches have weights and images
            net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
        net(x, net.uniform())  # running statistics that differ from their start
        found.append(step(net.train(training), x, drawn(net.uniform())))
    assert_equal(found[1], found[0])


ONE_REDUCTION = {
    "edges": [Edge(0, 1, ("skip_connect",))],
    "inputs": 1,
    "strides": [2],
    "channels": 2,
    "images": 1,
    "size": (2, 2),
    "affine": False,
    "track": True,
    "pool_norm": False,
    "training": False,
    "mixture": "full",
    "share": 1,
    "beside": False,
    "edges_weighed": False,
    "channels_last": False,
    "weights": True,
    "checkpoint": False,
    "seed": 0,
}


CONSTANT = ONE_REDUCTION | {
    "edges": [Edge(0, 1, ("avg_pool_3x3",))],
    "strides": [1],
    "channels": 1,
    "images": 1,
    "size": (1, 2),
    "track": False,
    "pool_norm": True,
    "weights": False,
}
"""An average of two pixels is the same for both: its normalised map and all gradients are zero but for rounding."""
CHAIN = CONSTANT | {
    "edges": [Edge(source, target, ("max_pool_3x3",)) for target in (2, 3) for source in range(target)],
    "inputs": 2,
    "strides": [1] * 5,
    "size": (2, 3),
}
"""The same one after another: rounding grows by 300 in each."""


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cells())
@example(CONSTANT)
@example(CHAIN)
@example(ONE_REDUCTION)  # the weight of its only BN was once left expanded, and its gradient arbitrary
@pytest.mark.parametrize("executor", FAST)
def test_equals_plain_on_any_cell(executor: str, cell: dict[str, Any]) -> None:
    plain, found = (computed(cell, name, torch.float64) for name in ("plain", executor))
    assert_equal(found, plain)


@pytest.mark.skipif(available() is not None, reason=str(available()))
@pytest.mark.parametrize("settled", [False, True])
def test_second_derivatives_of_the_fused_executor_are_refused(settled: bool) -> None:
    """They were silently wrong: torch leaves the error out when it is asked for some gradients only."""
    space = spaces.get("nasbench201")
    torch.manual_seed(0)
    net = replace(space, channels=4, cells=1).supernet(executor="auto")
    x = torch.randn(2, 3, 16, 16)
    network = net.settle(space.parse("333133"), inherit=True) if settled else net
    weights = [w for w in network.parameters() if w.requires_grad]
    out = network(x) if settled else net(x, net.uniform())
    with pytest.raises(ArchgradError, match="differentiates once"):
        torch.autograd.grad(out.square().sum(), weights, create_graph=True, allow_unused=True)
    with forced("plain"):
        out = network(x) if settled else net(x, net.uniform())
        torch.autograd.grad(out.square().sum(), weights, create_graph=True, allow_unused=True)
