"""Every executor against ``plain`` in float64: output, gradients of mixture and weights, running statistics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archgrad import Supernet, operations, spaces
from archgrad.engine import EXECUTORS, Cell, forced
from archgrad.errors import ArchgradError
from archgrad.genotype import Edge, Group
from archgrad.mixture import Mixture
from archgrad.spaces.darts import Darts
from archgrad.spaces.nasbench201 import NASBench201

FAST = sorted(set(EXECUTORS) - {"plain"})
SPACES = {"darts": Darts(channels=4, cells=3), "nasbench201": NASBench201(channels=4, cells=1)}


def drawn(mixture: Mixture, seed: int = 0) -> Mixture:
    """The same mixture with random weights, one row per site."""
    g = torch.Generator().manual_seed(seed)
    weights = {
        group: torch.softmax(torch.randn(w.shape, generator=g, dtype=torch.float64), -1).to(w)
        for group, w in mixture.items()
    }
    return mixture.with_weights(weights)


def step(net: Supernet, x: Tensor, mixture: Mixture, seed: int = 0) -> dict[str, Tensor]:
    """All that a step computes: output, gradients of a random functional of it, buffers."""
    mixture = mixture.leaf()
    out = net(x, mixture)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(out)
    named = {**{f"mixture {g}": w for g, w in mixture.items()}, **dict(net.network.named_parameters())}
    loss = (out * direction).sum() + sum(0 * t.sum() for t in named.values())  # even where every candidate is `none`
    grads = torch.autograd.grad(loss, list(named.values()))
    buffers = {name: b.clone() for name, b in net.named_buffers()}
    return {"out": out.detach(), **dict(zip(named, grads, strict=True)), **buffers}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-10) -> None:
    """Relative to the largest entry; gradients that are zero but for rounding are compared on the scale of all."""
    scale = max(t.double().abs().max() for t in expected.values() if t.numel())
    for name, reference in expected.items():
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


class Own(nn.Module):
    """A user's operation that declares nothing."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x))


class OwnDeclared(nn.Sequential):
    """A user's operation that declares itself; its first step is shared."""

    def __init__(self, channels: int, stride: int):
        super().__init__(
            nn.ReLU(),
            nn.Conv2d(channels, channels + 1, (3, 1), stride, padding=(1, 0), bias=False),
            nn.ReLU(),
            nn.Conv2d(channels + 1, channels, 1, bias=False),
            nn.BatchNorm2d(channels, eps=1e-3, momentum=None),
        )

    def declare(self) -> operations.Declaration:
        return operations.chain(*self)


NAMES = [*sorted({*operations.OPERATIONS} - {"noise"}), "own", "own_declared", "own_sequence"]


def make(name: str, channels: int, stride: int, affine: bool, pool_norm: bool) -> nn.Module:
    if name == "own":
        return Own(channels, stride)
    if name == "own_declared":
        return OwnDeclared(channels, stride)
    if name == "own_sequence":
        return nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, groups=channels),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            operations.Pool("avg", channels, 1),
        )
    return operations.build(name, operations.Spec(channels, stride, affine, pool_norm=pool_norm))


class One(nn.Module):
    """A cell alone in a network, its outputs side by side."""

    def __init__(self, cell: Cell):
        super().__init__()
        self.cell = cell

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat([output.flatten(1) for output in self.cell(*inputs)], 1)


@st.composite
def cells(draw: Any) -> dict[str, Any]:
    """A random graph with random candidates, inputs and mixture."""
    inputs = draw(st.integers(1, 2))
    pairs = [(s, t) for t in range(inputs, inputs + draw(st.integers(1, 3))) for s in range(t)]
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True))
    strided = draw(st.booleans())
    subset = st.lists(st.sampled_from(names), min_size=1, unique=True)
    share = draw(st.sampled_from([1, 1, 2]))
    return {
        "edges": [Edge(s, t, tuple(draw(subset))) for s, t in pairs],
        "inputs": inputs,
        "strides": [2 if strided and s < inputs else 1 for s, _ in pairs],
        "channels": share * draw(st.integers(2, 5)),
        "images": draw(st.integers(1, 3)),
        "size": draw(st.tuples(st.integers(2, 9), st.integers(2, 9))),
        "affine": draw(st.booleans()),
        "pool_norm": draw(st.booleans()),
        "training": draw(st.booleans()),
        "mixture": draw(st.sampled_from(["full", "pruned", "one-hot"])),
        "share": share,
        "beside": draw(st.booleans()),
        "edges_weighed": draw(st.booleans()),
        "channels_last": draw(st.booleans()),
        "seed": draw(st.integers(0, 9)),
    }


ONE_REDUCTION = {
    "edges": [Edge(0, 1, ("skip_connect",))],
    "inputs": 1,
    "strides": [2],
    "channels": 2,
    "images": 1,
    "size": (2, 2),
    "affine": False,
    "pool_norm": False,
    "training": False,
    "mixture": "full",
    "share": 1,
    "beside": False,
    "edges_weighed": False,
    "channels_last": False,
    "seed": 0,
}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cells())
@example(ONE_REDUCTION)  # the weight of its only BN was once left expanded, and its gradient arbitrary
@pytest.mark.parametrize("executor", FAST)
def test_equals_plain_on_any_cell(executor: str, cell: dict[str, Any]) -> None:
    height, width = cell["size"]
    shrunk = max(cell["strides"])
    values = cell["images"] * -(-height // shrunk) * -(-width // shrunk)
    assume(not cell["training"] or values > 1)
    found = []
    for name in ("plain", executor):
        torch.manual_seed(cell["seed"])
        group = Group("cell", tuple(cell["edges"]))
        built = Cell(
            group,
            cell["inputs"],
            sorted(group.incoming),
            cell["strides"],
            cell["channels"],
            lambda op, edge, stride, channels: make(op, channels, stride, cell["affine"], cell["pool_norm"]),
            name,
        )
        if cell["beside"]:
            built.beside("again", "avg_pool_3x3")
        built.narrow(cell["share"])
        net = Supernet(One(built)).double().train(cell["training"])
        g = torch.Generator().manual_seed(cell["seed"])
        format = torch.channels_last if cell["channels_last"] else torch.contiguous_format
        x = tuple(
            torch.randn(cell["images"], cell["channels"], height, width, generator=g, dtype=torch.float64).contiguous(
                memory_format=format
            )
            for _ in range(cell["inputs"])
        )
        mixture = drawn(net.uniform(), cell["seed"])
        if cell["mixture"] != "full":
            mask = torch.rand(mixture["cell"].shape, generator=g) < 0.5
            if cell["mixture"] == "one-hot":
                picked = torch.where(group.mask, torch.rand(group.mask.shape, generator=g), -1).argmax(-1)
                mask = F.one_hot(picked, len(group.operations)).bool()[None]
            mixture = Mixture(dict(mixture), {"cell": mask & group.mask})
        if cell["edges_weighed"]:
            of_edges = torch.rand(1, len(group.edges), 1, generator=g, dtype=torch.float64)
            mixture = mixture.with_edges({"cell": of_edges})
        mixture = mixture.with_extras({"again": torch.tensor(0.3, dtype=torch.float64)})
        found.append(step(net, x, mixture))
    assert_equal(found[1], found[0])


@pytest.mark.parametrize("settled", [False, True])
def test_second_derivatives_of_the_fused_executor_are_refused(settled: bool) -> None:
    """They were silently wrong: torch leaves the error out when it is asked for some gradients only."""
    space = spaces.get("nasbench201")
    torch.manual_seed(0)
    net = replace(space, channels=4, cells=1).supernet(executor="auto")
    x = torch.randn(17, 3, 16, 16)  # more than `SMALL` values in the first cells
    network = net.settle(space.parse("333133"), inherit=True) if settled else net
    weights = [w for w in network.parameters() if w.requires_grad]
    out = network(x) if settled else net(x, net.uniform())
    with pytest.raises(ArchgradError, match="differentiates once"):
        torch.autograd.grad(out.square().sum(), weights, create_graph=True, allow_unused=True)
    with forced("plain"):
        out = network(x) if settled else net(x, net.uniform())
        torch.autograd.grad(out.square().sum(), weights, create_graph=True, allow_unused=True)
