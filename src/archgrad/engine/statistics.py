"""Forward passes that leave a module's running statistics where they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

Buffers = dict[str, Tensor | None]


@contextmanager
def unmoved(module: nn.Module) -> Iterator[None]:
    """A context in which forward passes move copies of the module's buffers.

    Copies, rather than old values put back: a backward pass that follows still finds the buffers it was built on.
    """
    present = [(part, part._buffers) for part in module.modules() if part._buffers]
    for part, buffers in present:
        part._buffers = copied(buffers)
    try:
        yield
    finally:
        for part, buffers in present:
            part._buffers = buffers


def copied(buffers: Mapping[str, Tensor | None]) -> Buffers:
    """The same buffers in memory of their own."""
    return {name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()}
