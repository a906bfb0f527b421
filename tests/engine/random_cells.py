"""Random cells from hypothesis, and what a step of one computes: for every executor."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

from archgrad import Supernet, operations
from archgrad.engine import Cell
from archgrad.genotype import Edge, Group
from archgrad.mixture import Mixture


def drawn(mixture: Mixture, seed: int = 0) -> Mixture:
    """The same mixture with random weights, one row per site."""
    g = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.softmax(torch.randn(w.shape, generator=g, dtype=torch.float64), -1).to(w)
        for name, w in mixture.items()
    }
    return mixture.with_weights(weights)


def step(net: nn.Module, x: Any, mixture: Mixture, weights: bool = True) -> dict[str, Tensor]:
    """All that a step computes: output, gradients of a random functional of it, buffers."""
    dtype = next((p.dtype for p in net.parameters()), torch.float32)
    inputs = [t.detach().to(dtype, copy=True).requires_grad_() for t in (x if isinstance(x, tuple) else (x,))]
    mixture = mixture.with_weights({g: w.to(dtype) for g, w in mixture.items()}).leaf()
    named = {**{f"input {i}": t for i, t in enumerate(inputs)}, **{f"mixture {g}": w for g, w in mixture.items()}}
    if weights:
        named |= dict(net.network.named_parameters())
    out = net(inputs[0] if len(inputs) == 1 else tuple(inputs), mixture)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(out)
    loss = (out * direction).sum() + sum(0 * t.sum() for t in inputs)  # even where every candidate is `none`
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found = {name: torch.zeros_like(t) if g is None else g for (name, t), g in zip(named.items(), grads, strict=True)}
    return {"out": out.detach(), **found, **{name: b.clone() for name, b in net.named_buffers()}}


class Own(nn.Module):
    """A user's operation that declares nothing."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(x))


class Declared(nn.Sequential):
    """A user's operation that declares what it is made of."""

    def declare(self) -> operations.Declaration:
        return operations.chain(*self)


def own_declared(channels: int, stride: int) -> nn.Module:
    return Declared(
        nn.ReLU(),
        nn.Conv2d(channels, channels + 1, (3, 1), stride, padding=(1, 0), bias=False),
        nn.ReLU(),
        nn.Conv2d(channels + 1, channels, 1, bias=False),
        nn.BatchNorm2d(channels, eps=1e-3, momentum=None),
    )


def own_rectified(channels: int, stride: int) -> nn.Module:
    """No ReLU in front, one behind; convolutions of each channel alone, and a kernel of even size."""
    return Declared(
        nn.Conv2d(channels, channels, 5, stride, padding=4, dilation=2, groups=channels, bias=False),
        nn.BatchNorm2d(channels, momentum=0.3),
        nn.Conv2d(channels, 2 * channels, 2, padding=1, bias=False),
        nn.Conv2d(2 * channels, channels, 2, bias=False),
        nn.ReLU(),
    )


def own_sequence(channels: int, stride: int) -> nn.Module:
    """Declares nothing, and has inside what others declare."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        operations.Pool("avg", channels, 1),
    )


OWN = {"own": Own, "own_declared": own_declared, "own_rectified": own_rectified, "own_sequence": own_sequence}
NAMES = [*sorted({*operations.OPERATIONS} - {"noise"}), *OWN, "relu"]


def make(name: str, channels: int, stride: int, affine: bool, track: bool, pool_norm: bool) -> nn.Module:
    """An operation by name, ours or a user's."""
    if name in OWN:
        return OWN[name](channels, stride)
    if name == "relu":
        if stride == 1:
            return Declared(nn.ReLU())
        name = "avg_pool_3x3"
    return operations.build(name, operations.Spec(channels, stride, affine, track, pool_norm))


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
    share = draw(st.sampled_from([1, 1, 1, 2]))
    cell = {
        "edges": [Edge(s, t, tuple(draw(subset))) for s, t in pairs],
        "inputs": inputs,
        "strides": [2 if strided and s < inputs else 1 for s, _ in pairs],
        "channels": share * draw(st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 18, 26, 36])),
        "images": draw(st.sampled_from([1, 2, 3, 9])),
        "size": draw(st.tuples(st.integers(1, 12), st.integers(1, 12))),
        "affine": draw(st.booleans()),
        "track": draw(st.booleans()),
        "pool_norm": draw(st.booleans()),
        "training": draw(st.booleans()),
        "mixture": draw(st.sampled_from(["full", "pruned", "one-hot"])),
        "share": share,
        "beside": draw(st.booleans()),
        "edges_weighed": draw(st.booleans()),
        "channels_last": draw(st.booleans()),
        "weights": draw(st.booleans()),
        "checkpoint": draw(st.booleans()),
        "seed": draw(st.integers(0, 9)),
    }
    (height, width), shrunk = cell["size"], max(cell["strides"])
    values = cell["images"] * -(-height // shrunk) * -(-width // shrunk)
    assume(values > 1)  # of which batch statistics need two
    assume(shrunk == 1 or cell["channels"] // share > 1)  # which a factorised reduction halves
    return cell


def built(cell: dict[str, Any], executor: str) -> Supernet:
    """A supernet of that cell alone."""
    torch.manual_seed(cell["seed"])
    group = Group("cell", tuple(cell["edges"]))
    made = Cell(
        group,
        cell["inputs"],
        sorted(group.incoming),
        cell["strides"],
        cell["channels"],
        lambda op, edge, stride, channels: make(op, channels, stride, cell["affine"], cell["track"], cell["pool_norm"]),
        executor,
        cell["checkpoint"],
    )
    if cell["beside"]:
        made.beside("again", "avg_pool_3x3")
    made.narrow(cell["share"])
    net = Supernet(One(made)).train(cell["training"])
    for parameter in net.weights():
        parameter.requires_grad_(cell["weights"])
    return net.to(memory_format=torch.channels_last) if cell["channels_last"] else net


def mixture_of(cell: dict[str, Any], net: Supernet, g: torch.Generator) -> Mixture:
    """The cell's mixture, drawn."""
    group, mixture = Group("cell", tuple(cell["edges"])), drawn(net.uniform(), cell["seed"])
    if cell["mixture"] != "full":
        mask = torch.rand(mixture["cell"].shape, generator=g) < 0.5
        if cell["mixture"] == "one-hot":
            picked = torch.where(group.mask, torch.rand(group.mask.shape, generator=g), -1).argmax(-1)
            mask = F.one_hot(picked, len(group.operations)).bool()[None]
        mixture = Mixture(dict(mixture), {"cell": mask & group.mask})
    if cell["edges_weighed"]:
        mixture = mixture.with_edges({"cell": torch.rand(1, len(group.edges), 1, generator=g).to(mixture["cell"])})
    return mixture.with_extras({"again": torch.tensor(0.3).to(mixture["cell"])})


def computed(cell: dict[str, Any], executor: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """A step of the cell by an executor."""
    net, g = built(cell, executor).to(dtype), torch.Generator().manual_seed(cell["seed"])
    format = torch.channels_last if cell["channels_last"] else torch.contiguous_format
    shape = cell["images"], cell["channels"], *cell["size"]
    x = tuple(torch.randn(shape, generator=g).to(dtype).contiguous(memory_format=format) for _ in range(cell["inputs"]))
    return step(net, x, mixture_of(cell, net, g), cell["weights"])
