"""The native executor against ``plain`` in float64, on random cells and all spaces: states, gradients, buffers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from random_cells import One, built, cells, computed, drawn, make, step
from torch import Tensor, nn

from archgrad import Supernet, operations, spaces
from archgrad.engine import Cell, forced
from archgrad.engine import executor as executors
from archgrad.engine.native import available
from archgrad.engine.native import executor as native_executor
from archgrad.engine.native.recipe import recipe_of
from archgrad.genotype import Edge, Group
from archgrad.spaces.darts import Darts

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))


@pytest.fixture(autouse=True)
def _never_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def loop(*_: object) -> None:
        raise AssertionError("the native executor left this cell to the loop")

    monkeypatch.setattr(native_executor, "loop", loop)


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


@settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cells())
def test_equals_plain_on_any_cell(cell: dict[str, Any]) -> None:
    ways = ("native", torch.float32), ("plain", torch.float32), ("plain", torch.float64)
    assert_close(*(computed(cell, executor, dtype) for executor, dtype in ways))


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


def step_of_space(name: str, executor: str, dtype: torch.dtype, **options: Any) -> dict[str, Tensor]:
    """A step without noise, which every executor draws in its own order."""
    space = spaces.get(name, **SPACES[name])
    torch.manual_seed(0)
    net = space.supernet(executor=executor, **options).to(dtype)
    mixture = drawn(net.uniform())
    quiet = {g: torch.tensor([op != "noise" for op in space.groups[g].operations]) for g in mixture}
    size = (40, 40) if name == "transnasbench101" else (19, 18)  # the former shrinks it 32 times
    x = torch.randn(3, 3, *size, generator=torch.Generator().manual_seed(1))
    return step(net, x, mixture.restricted({g: mask.expand(1, 1, -1) for g, mask in quiet.items()}))


@pytest.mark.parametrize("name", SPACES)
def test_equals_plain_on_every_space(name: str) -> None:
    ways = ("native", torch.float32), ("plain", torch.float32), ("plain", torch.float64)
    assert_close(*(step_of_space(name, executor, dtype) for executor, dtype in ways))


@pytest.mark.parametrize("name", SPACES)
def test_what_is_computed_again_is_the_same_bit_for_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernels; by torch where an operation is foreign to them, as the zeros of other channels here."""
    if name != "transnasbench101":
        monkeypatch.setattr(executors, "recomputed", None)
    kept, again = (step_of_space(name, "native", torch.float32, checkpoint_cells=flag) for flag in (False, True))
    for key, value in kept.items():
        assert torch.equal(again[key], value), key


def kept_megabytes(net: nn.Module) -> float:
    """What a forward pass keeps for backward, per image, besides parameters."""
    x, kept = torch.randn(2, 3, 32, 32), list[Tensor]()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        net(x, net.uniform()).sum()
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    sizes = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept}
    return sum(size for place, size in sizes.items() if place not in own) / 1e6 / len(x)


def test_a_weight_step_of_the_published_size_keeps_little_if_asked() -> None:
    everything, little = (
        kept_megabytes(Darts().supernet(executor="native", checkpoint_cells=flag)) for flag in (False, True)
    )
    assert little < 20
    assert little < 0.5 * everything


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
    "beside": False,
    "channels_last": False,
    "weights": True,
    "checkpoint": False,
    "seed": 0,
}


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_weight_that_changes_before_backward_is_noticed(checkpoint: bool) -> None:
    net = supernet(checkpoint_cells=checkpoint)
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
