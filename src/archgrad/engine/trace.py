"""What a network takes, counted in one pass without data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from archgrad.engine.executor import forced
from archgrad.operations.cost import Complexity

Module = TypeVar("Module", bound=nn.Module)

INPUTS = 2
"""Of the traced batch: normalisation by the statistics of a batch refuses a single value per channel."""


def without_data(network: Module) -> Module:
    """A copy that computes shapes only, as in evaluation."""
    return copy.deepcopy(network).to("meta").eval()


@contextmanager
def counted() -> Iterator[Callable[[], int]]:
    """The multiply-accumulates of convolutions and matrix products so far; cells compute their operations one by one.

    >>> layer, x = nn.Conv2d(3, 4, 1, bias=False), torch.empty(1, 3, 8, 8, device="meta")
    >>> with counted() as so_far:
    ...     y = without_data(layer)(x)
    >>> so_far()
    768
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports triton where there is one

    with torch.no_grad(), forced("plain"), FlopCounterMode(display=False) as counter:
        yield lambda: counter.get_total_flops() // 2


def complexity(network: nn.Module, shape: Sequence[int]) -> Complexity:
    """Trainable parameters, and multiply-accumulates for one input of ``shape``.

    As `archgrad.operations.cost` counts them: a linear layer's bias counts one each.
    """
    twin, biases = without_data(network), 0

    def add_bias(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal biases
        biases += output.numel() if layer.bias is not None else 0

    for module in twin.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(add_bias)
    with counted() as so_far:
        twin(torch.empty(INPUTS, *shape, device="meta"))
    parameters = sum(p.numel() for p in twin.parameters() if p.requires_grad)
    return Complexity(parameters, (so_far() + biases) // INPUTS)
