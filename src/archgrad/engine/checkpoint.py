"""Less memory for more time: a cell keeps its inputs only, and backward computes the rest again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


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


def as_now(module: nn.Module) -> AbstractContextManager[None]:
    """A context in which the module has its present parameters, and copies of its present buffers.

    Forward passes inside it move the copies. Copies, rather than old values put back: a backward pass that follows
    still finds the buffers it was built on.
    """
    places = [(part, dict(part._parameters), _copied(part)) for part in module.modules()]

    @contextmanager
    def restored() -> Iterator[None]:
        present = [(part._parameters, part._buffers) for part, _, _ in places]
        for part, parameters, buffers in places:
            part._parameters, part._buffers = parameters, buffers
        try:
            yield
        finally:
            for (part, _, _), (parameters, buffers) in zip(places, present, strict=True):
                part._parameters, part._buffers = parameters, buffers

    return restored()


def _copied(part: nn.Module) -> dict[str, Tensor | None]:
    return {name: None if buffer is None else buffer.clone() for name, buffer in part._buffers.items()}
