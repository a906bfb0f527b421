"""Which executor runs, and what each must bear: other precisions, repeats, sampled mixtures, second derivatives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad import ArchgradError, Supernet, spaces
from archgrad.engine import EXECUTORS
from archgrad.engine.executor import executor_for, forced
from archgrad.engine.native import available
from archgrad.engine.usage import Usage, recorded
from archgrad.mixture import Mixture
from archgrad.spaces.darts import Darts
from archgrad.spaces.nasbench201 import NASBench201


def supernet(executor: str, dtype: torch.dtype = torch.float64, space: str = "nasbench201") -> Supernet:
    torch.manual_seed(0)
    if space == "darts":
        return Darts(channels=4, cells=2).supernet(executor=executor).to(dtype)
    return NASBench201(channels=4, cells=1).supernet(executor=executor).to(dtype)


def images(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(4, 3, 9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def gradients(net: Supernet, x: Tensor) -> list[Tensor]:
    mixture = net.uniform().leaf()
    loss = F.cross_entropy(net(x, mixture), torch.arange(len(x)))
    found = torch.autograd.grad(loss, [*mixture.values(), *net.weights()], allow_unused=True)
    return [loss.detach(), *[g for g in found if g is not None]]


def test_auto_leaves_to_plain_what_others_cannot_do() -> None:
    x = torch.zeros(1, 17, 32, 32)
    assert executor_for("auto", x) == executor_for("auto", x.double()) == "auto"  # the graph of the cell decides
    assert executor_for("auto", x.half()) == "plain"
    assert executor_for("auto", torch.zeros(1, 1)) == "plain"
    with torch.autocast("cpu", torch.bfloat16):
        assert executor_for("auto", x) == "plain"
    with torch.autograd.forward_ad.dual_level():
        assert executor_for("auto", x) == "plain"
    with forced("plain"):
        assert executor_for("batched", x) == "plain"
    with pytest.raises(ArchgradError, match=r"executor 'lop': did you mean 'loop'"):
        executor_for("lop", x)


def chosen(
    space: str, build: dict[str, int], size: int, batch: int, sampled: bool | str, dtype: torch.dtype
) -> set[str]:
    """What the cells of a supernet are computed by; ``sampled``: a genotype, or a random one."""
    net = spaces.get(space, **build).supernet().to(dtype)
    if isinstance(sampled, str):
        assert net.space is not None
        genotype = net.space.parse(sampled)
    else:
        genotype = net.random(torch.Generator().manual_seed(0))
    mixture = net.one_hot(genotype) if sampled else net.uniform()
    with recorded(found := Usage()), torch.no_grad():
        net(torch.zeros(batch, 3, size, size, dtype=dtype), mixture)
    return found.executors


RULE = [
    # space, size of the supernet, of the image, batch, sampled, and what is the fastest there (docs/engine.md)
    ("darts", {"channels": 8, "cells": 3}, 16, 2, False, {"native"}),
    ("darts", {"channels": 8, "cells": 3}, 16, 2, True, {"native"}),
    ("darts", {"channels": 36, "cells": 1}, 16, 2, False, {"native"}),
    ("robust_darts_s4", {"channels": 16, "cells": 1}, 32, 2, False, {"native"}),  # every other candidate is noise
    ("nasbench201", {"channels": 16, "cells": 1}, 32, 16, False, {"native", "plain"}),  # plain: 64 channels
    ("nasbench201", {"channels": 4, "cells": 1}, 8, 2, False, {"native"}),
    ("nasbench201", {"channels": 64, "cells": 1}, 8, 2, False, {"plain"}),
    ("nasbench1shot1_1", {"channels": 8, "cells": 1}, 16, 16, True, {"plain"}),
    ("nasbench1shot1_3", {"channels": 4, "cells": 1}, 8, 2, False, {"plain"}),
    # One operation per edge; 0 … 4: none, skip connection, 1×1 and 3×3 convolution, pool. Stages halve the values.
    ("nasbench201", {"channels": 4, "cells": 1}, 8, 2, "333333", {"native"}),
    ("nasbench201", {"channels": 4, "cells": 1}, 8, 2, "222222", {"plain"}),
    ("nasbench201", {"channels": 4, "cells": 1}, 32, 16, "222222", {"native"}),
    ("nasbench201", {"channels": 4, "cells": 1}, 32, 16, "444444", {"plain"}),
    ("nasbench201", {"channels": 16, "cells": 1}, 32, 64, "444444", {"native"}),
    ("nasbench201", {"channels": 32, "cells": 1}, 32, 16, "333333", {"plain"}),
    ("nasbench201", {"channels": 4, "cells": 1}, 32, 16, "111111", {"plain"}),
    ("nasbench201", {"channels": 4, "cells": 1}, 32, 16, "333111", {"plain"}),
    ("nasbench201", {"channels": 4, "cells": 1}, 32, 16, "033331", {"plain"}),  # two read a state that nothing fills
]


@pytest.mark.skipif(available() is not None, reason=str(available()))
@pytest.mark.parametrize(("space", "build", "size", "batch", "sampled", "expected"), RULE)
def test_auto_takes_what_measurements_say(
    space: str, build: dict[str, int], size: int, batch: int, sampled: bool | str, expected: set[str]
) -> None:
    assert chosen(space, build, size, batch, sampled, torch.float32) == expected


def test_without_native_code_auto_takes_no_fused_executor_that_is_slower() -> None:
    assert chosen("darts", {"channels": 16, "cells": 1}, 32, 4, False, torch.float64) == {"loop"}
    assert chosen("darts", {"channels": 16, "cells": 1}, 32, 1, False, torch.float64) == {"plain"}
    assert chosen("darts", {"channels": 16, "cells": 1}, 32, 4, True, torch.float64) == {"plain"}
    assert chosen("robust_darts_s4", {"channels": 16, "cells": 1}, 32, 2, False, torch.float64) == {"plain"}
    assert chosen("robust_darts_s4", {"channels": 16, "cells": 1}, 32, 16, False, torch.float64) == {"loop"}
    assert chosen("nasbench201", {"channels": 4, "cells": 1}, 8, 2, False, torch.float64) == {"batched"}
    assert chosen("nasbench201", {"channels": 16, "cells": 1}, 32, 16, False, torch.float64) == {"plain"}


@pytest.mark.parametrize("space", ["darts", "nasbench201"])
@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_single_precision_is_close_and_every_repeat_is_the_same(executor: str, space: str) -> None:
    exact = gradients(supernet("plain", space=space), images())
    first, second = (gradients(supernet(executor, torch.float32, space), images(torch.float32)) for _ in range(2))
    scale = max(t.abs().max() for t in exact[2:])
    for a, b, reference in zip(first, second, exact, strict=True):
        assert torch.equal(a, b)
        assert (a - reference).abs().max() <= 1e-4 * max(reference.abs().max(), 1e-1 * scale)


@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_a_sampled_mixture_calls_the_active_operations_only(executor: str) -> None:
    """Counted by a hook; a skip connection has nothing to compute, and fused executors add its input itself."""
    net = supernet(executor)
    genotype = net.space.parse("|nor_conv_3x3~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_1x1~1|none~2|")
    called: list[str] = []
    for site in net.network.modules():
        if type(site).__name__ == "Cell":
            for candidates in site.operations:
                for name, operation in candidates.items():
                    if name == "skip_connect":
                        continue
                    operation.register_forward_hook(lambda *_, name=name: called.append(name))
    expected = net.settle(genotype, inherit=True)
    out = net(images(), net.one_hot(genotype))
    assert sorted(called) == sorted(3 * ["nor_conv_3x3", "avg_pool_3x3", "nor_conv_1x1"])
    torch.testing.assert_close(out, expected(images()), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("executor", ["plain", "batched"])
def test_second_derivatives_by_double_backward(executor: str) -> None:
    """⟨∇_w ℓ, v⟩ differentiated by the mixture, against the same of a difference of the exact first derivatives."""
    net, x, y = supernet(executor), images(), torch.arange(4)
    weights = net.weights()
    v = [torch.randn(w.shape, generator=torch.Generator().manual_seed(i), dtype=w.dtype) for i, w in enumerate(weights)]

    def first() -> Tensor:
        mixture = net.uniform().leaf()
        return torch.autograd.grad(F.cross_entropy(net(x, mixture), y), mixture["cell"])[0]

    mixture = net.uniform().leaf()
    loss = F.cross_entropy(net(x, mixture), y)
    grads = torch.autograd.grad(loss, weights, create_graph=True)
    product = torch.stack([(g * d).sum() for g, d in zip(grads, v, strict=True)]).sum()
    (found,) = torch.autograd.grad(product, mixture["cell"])
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            torch._foreach_add_(weights, v, alpha=sign * 1e-6)
        sides.append(first())
        with torch.no_grad():
            torch._foreach_add_(weights, v, alpha=-sign * 1e-6)
    torch.testing.assert_close(found, (sides[0] - sides[1]) / 2e-6, rtol=1e-4, atol=1e-5 * found.abs().max().item())


def test_batched_runs_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = supernet("batched", torch.float32)(images(torch.float32), supernet("plain").uniform())
    exact = supernet("plain")(images(), supernet("plain").uniform())
    assert (out - exact).abs().max() < 0.1 * exact.abs().max()


@pytest.mark.slow
def test_batched_compiles_to_one_graph() -> None:
    net, x = supernet("batched"), images()
    mixture = net.uniform().leaf()
    compiled = torch.compile(lambda x, m: net(x, m), fullgraph=True, backend="aot_eager")
    out, expected = compiled(x, mixture), net(x, mixture)
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-10)
    found, reference = (torch.autograd.grad(t.square().sum(), mixture["cell"])[0] for t in (out, expected))
    torch.testing.assert_close(found, reference, rtol=1e-10, atol=1e-10)


def test_a_pruned_mixture_ignores_the_weight_of_what_is_inactive() -> None:
    for executor in EXECUTORS:
        net = supernet(executor)
        mask = net.masks["cell"].clone()
        mask[:, 3] = False
        mixture = net.uniform().restricted({"cell": mask})
        other = mixture["cell"].clone()
        other[..., 3] = torch.nan
        assert torch.equal(net(images(), mixture), net(images(), Mixture({"cell": other}, mixture.active)))


def test_a_settled_network_is_the_same_with_fast_kernels() -> None:
    torch.manual_seed(0)
    space = Darts()
    net = replace(space, channels=4, cells=3).network(space.random(torch.Generator().manual_seed(3))).double()
    with forced("loop"):  # which ``auto`` takes for larger maps only
        fast = net(images())
    with forced("plain"):
        plain = net(images())
    assert isinstance(net, nn.Module)
    torch.testing.assert_close(fast, plain, rtol=1e-10, atol=1e-10)
