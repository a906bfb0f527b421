"""What a network takes, counted without data."""

from __future__ import annotations

import torch
from torch import nn

from archgrad.engine.trace import complexity, counted, without_data
from archgrad.spaces import Darts


def test_parameters_and_multiply_accumulates_by_hand() -> None:
    """A bias counts in a linear layer only, what is frozen is not trainable, and a layer used twice counts twice."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.norm = nn.BatchNorm2d(3, track_running_stats=False)
            self.head = nn.Linear(3, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.conv(self.conv(x))).mean((2, 3)))

    network = Twice()
    assert complexity(network, (3, 4, 6)) == (81 + 3 + 6 + 20, 2 * 81 * 24 + 20)
    network.head.requires_grad_(False)
    assert complexity(network, (3, 4, 6)) == (81 + 3 + 6, 2 * 81 * 24 + 20)
    assert network.training
    assert next(network.parameters()).device.type == "cpu"


def test_every_operation_of_a_supernet_is_counted_whatever_computes_it() -> None:
    totals = []
    for executor in ("plain", "loop", "batched"):
        net = without_data(Darts(channels=4, cells=3).supernet(executor=executor))
        with counted() as so_far:
            net(torch.empty(2, 3, 8, 8, device="meta"), net.uniform())
        totals.append(so_far())
    assert totals[0] == totals[1] == totals[2] > 0
