"""Batches that are more than one tensor: tuples and dictionaries of tensors, nested as one likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def mapped(function: Callable[[Tensor], Any], value: Any) -> Any:
    """The same structure with a function applied to every tensor; lists become tuples.

    >>> import torch
    >>> mapped(len, {"a": torch.zeros(2), "b": (torch.zeros(3),)})
    {'a': 2, 'b': (3,)}
    """
    if isinstance(value, dict):
        return {name: mapped(function, part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return tuple(mapped(function, part) for part in value)
    return function(value)


def leaves(value: Any) -> list[Tensor]:
    """All tensors of a structure, in order."""
    found: list[Tensor] = []
    mapped(found.append, value)
    return found


def any_nan(value: Any) -> Tensor:
    """A tensor of one truth: whether a number of the structure is NaN, which comparisons would take for a small one."""
    parts = [part.isnan().any() for part in leaves(value)]
    return torch.stack(parts).any() if parts else torch.tensor(False)


def called(network: nn.Module, x: Any) -> Any:
    """What a network makes of a batch: a tuple is several arguments, a dictionary gives them by name."""
    if isinstance(x, dict):
        return network(**x)
    return network(*x) if isinstance(x, tuple) else network(x)
