"""Cells that compute their activations again change the memory of a step and nothing else."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad import Supernet
from archgrad.engine import EXECUTORS, Cell
from archgrad.engine.statistics import unmoved
from archgrad.genotype import Edge, Group
from archgrad.spaces.darts import Darts


def images() -> Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def supernet(executor: str, checkpoint: bool) -> Supernet:
    torch.manual_seed(0)
    return Darts(channels=4, cells=3).supernet(executor=executor, checkpoint_cells=checkpoint).double()


def kept(net: Supernet) -> tuple[int, list[Tensor], list[Tensor]]:
    """Bytes kept for backward, gradients, buffers."""
    storages = {}

    def keep(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    mixture = net.uniform().leaf()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        loss = net(images(), mixture).square().sum()
    size = sum(t.untyped_storage().nbytes() for t in storages.values())
    gradients = torch.autograd.grad(loss, [*mixture.values(), *net.weights()], allow_unused=True)
    return size, [g for g in gradients if g is not None], list(net.buffers())


@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_same_gradients_and_statistics_with_less_memory(executor: str) -> None:
    full, checkpointed = (kept(supernet(executor, checkpoint)) for checkpoint in (False, True))
    assert checkpointed[0] < 0.5 * full[0]
    for a, b in zip([*full[1], *full[2]], [*checkpointed[1], *checkpointed[2]], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_backward_sees_the_weights_of_its_forward_pass(executor: str) -> None:
    """`functional_call` has put the module's own weights back by the time of backward."""
    found = []
    for checkpoint in (False, True):
        net = supernet(executor, checkpoint)
        other = {f"network.{n}": (2 * p).detach().requires_grad_() for n, p in net.network.named_parameters()}
        mixture = net.uniform().leaf()
        with unmoved(net):
            out = torch.func.functional_call(net, other, (images(), mixture))
        found.append(torch.autograd.grad(out.square().sum(), [*mixture.values(), *other.values()], allow_unused=True))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True) if a is not None)


@pytest.mark.parametrize("executor", sorted(EXECUTORS))
def test_several_backward_passes_may_go_through_one_graph(executor: str) -> None:
    """As those of the diagnostics of a search do, which ask for the curvature of alphas."""
    net = supernet(executor, True).float()
    mixture = net.uniform().leaf()
    loss = net(images().float(), mixture).square().sum()
    first, second = (torch.autograd.grad(loss, list(mixture.values()), retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_random_numbers_are_replayed() -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5)

    cell = Cell(Group("cell", (Edge(0, 1, ("noisy",)),)), 1, [1], [1], 8, lambda *_: Noisy(), checkpoint=True)

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = cell

        def forward(self, x: Tensor) -> Tensor:
            return self.cell(x)[0]

    net = Supernet(One())
    x = torch.ones(1, 2, 8, 8, requires_grad=True)
    out = net(x, net.uniform().leaf())
    torch.manual_seed(7)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.equal(gradient, out.detach())
