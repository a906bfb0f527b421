"""Less memory for more time: a cell keeps its inputs only, and torch computes the rest again in backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from archgrad.engine.statistics import copied


def recomputed(module: nn.Module, function: Callable[..., list[Tensor]], tensors: Sequence[Tensor]) -> list[Tensor]:
    """``function(*tensors)``, which uses ``module``, without keeping what it computes on the way.

    The second computation, in backward, sees the parameters and buffers of the first one, whatever stands in the
    module by then, and replays its random numbers; running statistics move the first time only.
    """
    if not torch.is_grad_enabled():
        return function(*tensors)
    again = as_now(module)
    found: list[Tensor] = checkpoint(function, *tensors, use_reentrant=False, context_fn=lambda: (nullcontext(), again))
    return found


class as_now(AbstractContextManager[None]):  # noqa: N801 - used like a function
    """A context in which the module has the parameters, and copies of the buffers, that it has now.

    It may be entered later, and again: several backward passes may go through one graph.
    """

    def __init__(self, module: nn.Module):
        self._then = [(part, dict(part._parameters), copied(part._buffers)) for part in module.modules()]
        self._present: list[list[tuple[Any, Any]]] = []

    def __enter__(self) -> None:
        self._present.append([(part._parameters, part._buffers) for part, _, _ in self._then])
        for part, parameters, buffers in self._then:
            part._parameters, part._buffers = parameters, copied(buffers)

    def __exit__(self, *error: object) -> None:
        for (part, _, _), (parameters, buffers) in zip(self._then, self._present.pop(), strict=True):
            part._parameters, part._buffers = parameters, buffers
