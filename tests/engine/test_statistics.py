"""Passes that leave running statistics where they are."""

from __future__ import annotations

import torch
from torch import nn

from archgrad.engine.statistics import unmoved


def test_passes_move_copies_of_buffers() -> None:
    norm = nn.BatchNorm1d(3)
    norm.register_buffer("empty", None)
    with unmoved(norm):
        norm(torch.randn(4, 3) + 5)
        assert norm.num_batches_tracked == 1
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(3))


def test_a_graph_from_inside_outlives_the_context() -> None:
    """In evaluation mode the gradient depends on the buffers, which training moves before backward."""
    norm = nn.BatchNorm1d(3, affine=False).eval()
    x = torch.randn(4, 3, requires_grad=True)
    with unmoved(norm):
        out = norm(x)
    norm.running_var.fill_(100.0)
    (gradient,) = torch.autograd.grad(out.sum(), x)
    assert torch.allclose(gradient, torch.full_like(x, (1 + norm.eps) ** -0.5))
