"""The native executor against ``plain`` in float64, on random cells and all spaces: states, gradients, buffers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from archgrad import Supernet, operations, spaces
from archgrad.engine import Cell, forced
from archgrad.engine.native import available
from archgrad.engine.native import executor as native_executor
from archgrad.engine.native.recipe import recipe_of
from archgrad.genotype import Edge, Group
from archgrad.mixture import Mixture
from archgrad.spaces.darts import Darts

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(autouse=True)
def _never_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(*_: object) -> None:
        raise AssertionError("the native executor left this cell to the loop")

    monkeypatch.setattr(native_executor, "loop", loop)


def drawn(mixture: Mixture, seed: int = 0) -> Mixture:
    """The same mixture with random weights, one row per site."""
    g = torch.Generator().manual_seed(seed)
    weights = {name: torch.softmax(torch.randn(w.shape, generator=g), -1) for name, w in mixture.items()}
    return mixture.with_weights(weights)


def step(net: nn.Module, x: Any, mixture: Mixture, weights: bool = True) -> dict[str, Tensor]:
    """All that a step computes: output, gradients of a random functional of it, buffers."""
    dtype = next(net.parameters()).dtype
    inputs = [t.detach().to(dtype, copy=True).requires_grad_() for t in (x if isinstance(x, tuple) else (x,))]
    mixture = mixture.with_weights({g: w.to(dtype) for g, w in mixture.items()}).leaf()
    named = {**{f"input {i}": t for i, t in enumerate(inputs)}, **{f"mixture {g}": w for g, w in mixture.items()}}
    if weights:
        named |= dict(net.network.named_parameters())
    out = net(inputs[0] if len(inputs) == 1 else tuple(inputs), mixture)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
    loss = (out * direction).sum() + sum(0 * t.sum() for t in inputs)  # even where every candidate is `none`
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    found = {name: torch.zeros_like(t) if g is None else g for (name, t), g in zip(named.items(), grads, strict=True)}
    return {"out": out.detach(), **found, **{name: b.clone() for name, b in net.named_buffers()}}


def assert_close(found: dict[str, Tensor], single: dict[str, Tensor], exact: dict[str, Tensor]) -> None:
    """No further from the truth than float32 is, up to a factor: rounding is amplified where a BN sees few values.

    Gradients that are zero but for rounding are compared on the scale of all.
    """
    scale = max(t.double().abs().max() for t in exact.values() if t.numel())
    for name, truth in exact.items():
        if not truth.numel():
            continue
        error, usual = ((t[name].double() - truth).abs().max() for t in (found, single))
        assert error <= 30 * usual + 1e-5 * truth.double().abs().max() + 1e-6 * scale, (name, error, usual, scale)


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


OWN = {"own": Own, "own_declared": own_declared, "own_rectified": own_rectified, "relu": lambda *_: Declared(nn.ReLU())}
NAMES = [*sorted({*operations.OPERATIONS} - {"noise"}), *OWN]


def make(name: str, channels: int, stride: int, affine: bool, track: bool, pool_norm: bool) -> nn.Module:
    if name in OWN and not (name == "relu" and stride > 1):
        return OWN[name](channels, stride)
    if name == "relu":
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
    return {
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
        "edges_weighed": draw(st.booleans()),
        "channels_last": draw(st.booleans()),
        "weights": draw(st.booleans()),
        "seed": draw(st.integers(0, 9)),
    }


def built(cell: dict[str, Any], executor: str) -> Supernet:
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
    )
    made.narrow(cell["share"])
    net = Supernet(One(made)).train(cell["training"])
    for parameter in net.weights():
        parameter.requires_grad_(cell["weights"])
    return net.to(memory_format=torch.channels_last) if cell["channels_last"] else net


def mixture_of(cell: dict[str, Any], net: Supernet, g: torch.Generator) -> Mixture:
    group, mixture = Group("cell", tuple(cell["edges"])), drawn(net.uniform(), cell["seed"])
    if cell["mixture"] != "full":
        mask = torch.rand(mixture["cell"].shape, generator=g) < 0.5
        if cell["mixture"] == "one-hot":
            picked = torch.where(group.mask, torch.rand(group.mask.shape, generator=g), -1).argmax(-1)
            mask = F.one_hot(picked, len(group.operations)).bool()[None]
        mixture = Mixture(dict(mixture), {"cell": mask & group.mask})
    if cell["edges_weighed"]:
        return mixture.with_edges({"cell": torch.rand(1, len(group.edges), 1, generator=g)})
    return mixture


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cells())
def test_equals_plain_on_any_cell(cell: dict[str, Any]) -> None:
    (height, width), shrunk = cell["size"], max(cell["strides"])
    values = cell["images"] * -(-height // shrunk) * -(-width // shrunk)
    assume(values > 1 and (shrunk == 1 or cell["channels"] // cell["share"] > 1))
    found = []
    for executor, dtype in (("native", torch.float32), ("plain", torch.float32), ("plain", torch.float64)):
        net, g = built(cell, executor).to(dtype), torch.Generator().manual_seed(cell["seed"])
        format = torch.channels_last if cell["channels_last"] else torch.contiguous_format
        shape = cell["images"], cell["channels"], height, width
        x = tuple(torch.randn(shape, generator=g).contiguous(memory_format=format) for _ in range(cell["inputs"]))
        found.append(step(net, x, mixture_of(cell, net, g), cell["weights"]))
    assert_close(*found)


SPACES: dict[str, dict[str, int]] = {
    "darts": {"channels": 4, "cells": 3},
    "robust_darts_s1": {"channels": 3, "cells": 3},
    "robust_darts_s2": {"channels": 4, "cells": 3},
    "robust_darts_s3": {"channels": 5, "cells": 3},
    "robust_darts_s4": {"channels": 4, "cells": 3},
    "wide-regular": {"channels": 18, "cells": 2},
    "deep-all_skip": {"channels": 7, "cells": 3},
    "single_cell-no_skip": {"channels": 6},
    "nasbench201": {"channels": 4, "cells": 1},
    "nasbench1shot1_1": {"channels": 6, "cells": 1},
    "nasbench1shot1_2": {"channels": 4, "cells": 1},
    "nasbench1shot1_3": {"channels": 5, "cells": 1},
    "transnasbench101": {"channels": 4, "cells": 1},
}


@pytest.mark.parametrize("name", SPACES)
def test_equals_plain_on_every_space(name: str) -> None:
    space, found = spaces.get(name, **SPACES[name]), []
    for executor, dtype in (("native", torch.float32), ("plain", torch.float32), ("plain", torch.float64)):
        torch.manual_seed(0)
        net = space.supernet(executor=executor).to(dtype)
        mixture = drawn(net.uniform())
        quiet = {g: torch.tensor([op != "noise" for op in space.groups[g].operations]) for g in mixture}
        x = torch.randn(3, 3, 19, 18, generator=torch.Generator().manual_seed(1))
        if name == "transnasbench101":  # which shrinks it 32 times
            x = torch.randn(3, 3, 40, 40, generator=torch.Generator().manual_seed(1))
        found.append(step(net, x, mixture.restricted({g: mask.expand(1, 1, -1) for g, mask in quiet.items()})))
    assert_close(*found)


@pytest.mark.parametrize("name", [name for name in operations.OPERATIONS if name not in ("none", "noise")])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_kernels_know_every_operation_of_images(name: str, stride: int) -> None:
    assert recipe_of(operations.build(name, operations.Spec(4, stride))) is not None


def test_an_operation_that_changes_is_read_again() -> None:
    operation = operations.build("nor_conv_3x3", operations.Spec(4))
    before = recipe_of(operation)
    assert recipe_of(operation) is before
    handle = operation[1].register_forward_hook(lambda *_: None)
    assert recipe_of(operation) is None
    handle.remove()
    assert recipe_of(operation) == before
    operation[1] = nn.Conv2d(4, 4, 5, padding=2, bias=False)
    changed = recipe_of(operation)
    assert changed is not None
    assert before is not None
    assert changed.shape != before.shape


@pytest.mark.parametrize("op", ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "nor_conv_1x1"])
def test_nan_goes_where_it_goes_in_torch(op: str) -> None:
    """In evaluation, where BN does not spread it over the batch."""
    found = []
    for executor in ("native", "plain"):
        torch.manual_seed(0)
        edges = (Edge(0, 1, (op,)), Edge(1, 2, (op,)))
        cell = Cell(Group("cell", edges), 1, [2], [1, 1], 6, lambda n, *_: make(n, 6, 1, True, True, True), executor)
        net = Supernet(One(cell)).eval()
        x = torch.randn(2, 6, 9, 9, generator=torch.Generator().manual_seed(0))
        x[1, 3, 4, 5] = torch.nan
        x[0, 1, 0, 0] = torch.inf
        found.append(step(net, x, net.uniform()))
    for name, expected in found[1].items():
        assert torch.equal(found[0][name].isnan(), expected.isnan()), name
        numbers = expected.isfinite() & ~expected.isnan()
        torch.testing.assert_close(found[0][name][numbers], expected[numbers], rtol=1e-4, atol=1e-4)
    assert found[1]["out"].isnan().any()


def supernet(**options: Any) -> Supernet:
    torch.manual_seed(0)
    return Darts(channels=6, cells=3).supernet(executor="native", **options)


def images(count: int = 11) -> Tensor:
    return torch.randn(count, 3, 10, 9, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("weights", [False, True])
def test_any_number_of_threads_gives_the_same_bits(weights: bool) -> None:
    found = []
    threads_before = torch.get_num_threads()
    cell = built({**CELL, "weights": weights}, "native")
    start = {name: b.clone() for name, b in cell.named_buffers()}
    x = torch.randn(11, 6, 10, 9, generator=torch.Generator().manual_seed(1))
    try:
        for threads in (1, 2, 3, 2):
            torch.set_num_threads(threads)
            cell.load_state_dict(start, strict=False)
            found.append(step(cell, (x, x.flip(0)), drawn(cell.uniform()), weights))
    finally:
        torch.set_num_threads(threads_before)
    for other in found[1:]:
        for name, value in found[0].items():
            assert torch.equal(other[name], value), name


CELL: dict[str, Any] = {
    "edges": [Edge(s, t, Darts().candidates) for t in (2, 3) for s in range(t)],
    "inputs": 2,
    "strides": [2, 2, 2, 2, 1],
    "channels": 6,
    "affine": True,
    "track": True,
    "pool_norm": True,
    "training": True,
    "share": 1,
    "channels_last": False,
    "weights": True,
    "seed": 0,
}


def test_checkpointed_cells_compute_the_same() -> None:
    plain, checkpointed = (
        step(net := supernet(checkpoint_cells=flag), images(), drawn(net.uniform())) for flag in (False, True)
    )
    for name, value in plain.items():
        assert torch.equal(checkpointed[name], value), name


def test_a_weight_that_changes_before_backward_is_noticed() -> None:
    net = supernet()
    mixture = net.uniform().leaf()
    loss = net(images(), mixture).sum()
    with torch.no_grad():
        for weight in net.weights():
            weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, list(mixture.values()))


def test_other_precisions_and_second_derivatives_leave_no_wrong_numbers() -> None:
    from archgrad import ArchgradError

    net = supernet()
    with pytest.raises(AssertionError, match="to the loop"):
        net.double()(images().double(), net.uniform())
    net = net.float()
    mixture = net.uniform().leaf()
    with pytest.raises(ArchgradError, match="differentiates once"):
        torch.autograd.grad(net(images(), mixture).square().sum(), list(mixture.values()), create_graph=True)
    with forced("plain"):
        torch.autograd.grad(net(images(), mixture).square().sum(), list(mixture.values()), create_graph=True)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_a_settled_network_drops_the_same_paths(rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are drawn in the same order; here they are the same in double precision."""
    rand = torch.rand
    monkeypatch.setattr(torch, "rand", lambda *size, dtype, device: rand(*size, device=device).to(dtype))
    space, found = Darts(channels=6, cells=3), []
    for executor, dtype in (("native", torch.float32), ("plain", torch.float32), ("plain", torch.float64)):
        torch.manual_seed(2)
        net = space.network(space.random(torch.Generator().manual_seed(3))).to(dtype)
        for module in net.modules():
            if isinstance(module, operations.DropPath):
                module.rate = rate
        torch.manual_seed(4)
        with forced(executor):
            out = net(images().to(dtype))
            loss = (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(0))).sum()
            grads = torch.autograd.grad(loss, list(net.parameters()))
        names = [name for name, _ in net.named_parameters()]
        buffers = {name: b.clone() for name, b in net.named_buffers()}
        found.append({"out": out.detach(), **dict(zip(names, grads, strict=True)), **buffers})
    assert_close(*found)
