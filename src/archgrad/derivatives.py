"""First derivatives that are zero, not an error, where nothing leads from a tensor to the value."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def derivatives(
    value: Tensor, tensors: Sequence[Tensor], *, create_graph: bool = False, retain_graph: bool | None = None
) -> list[Tensor]:
    """The gradient of a scalar by each tensor.

    All are zero where the value depends on nothing that requires a gradient: a sampled path that keeps ``none`` on all
    ways leaves nothing between the input and the classifier.
    """
    if not tensors or not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in tensors]
    return list(
        torch.autograd.grad(
            value, tensors, create_graph=create_graph, retain_graph=retain_graph, materialize_grads=True
        )
    )
