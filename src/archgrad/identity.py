"""What tells tensors and networks apart in few bytes, so that a run knows whether it goes on with the same ones."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.errors import ArchgradError, unknown

CHANGED = ("refuse", "accept")
"""What may be done where a run is resumed with other data or another network."""

DIGEST = "blake2b:"
"""How digests begin where they are recorded."""

WHOLE = 2**28
"""Bytes of a tensor up to which all are read; of larger ones so many in rows that are evenly spread."""


def require_way(changed: str) -> None:
    """Refuse what is none of `CHANGED`."""
    if changed not in CHANGED:
        raise unknown("way with changed data", changed, CHANGED)


def digest(parts: Iterable[bytes | str | Tensor]) -> str:
    """A digest of contents in order, tensors with their types and shapes.

    >>> digest([torch.zeros(2)]) == digest([torch.zeros(2)]) != digest([torch.zeros(1, 2)])
    True
    """
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = _content(part) if isinstance(part, Tensor) else part.encode() if isinstance(part, str) else part
        state.update(len(content).to_bytes(8, "big"))
        if isinstance(part, Tensor):
            state.update(f"{part.dtype} {list(part.shape)}".encode())
        state.update(content)
    return DIGEST + state.hexdigest()


def _content(tensor: Tensor) -> Any:
    size = tensor.numel() * tensor.element_size()
    if size > WHOLE and tensor.ndim:
        rows = max(1, WHOLE // max(1, size // len(tensor)))
        tensor = tensor[torch.linspace(0, len(tensor) - 1, rows, dtype=torch.double).round().long()]
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""


def of_network(network: nn.Module, structure: bool = True) -> dict[str, Any]:
    """The class of a network, its tensors by name and shape, and, with `structure`, what it is made of."""
    state = network.state_dict()
    try:
        record: dict[str, Any] = {
            "class": type(network).__name__,
            "tensors": len(state),
            "numbers": sum(tensor.numel() for tensor in state.values()),
            "shapes": digest(f"{name} {list(tensor.shape)}" for name, tensor in state.items()),
        }
    except (AttributeError, ValueError) as error:  # parameters without a shape as yet
        raise ArchgradError(f"{type(network).__name__}: its parameters have no shapes yet ({error})") from None
    if structure:  # as it prints, without places in memory: pooling has no parameters
        record["modules"] = digest([re.sub(r" at 0x[0-9a-fA-F]+", "", repr(network))])
    return record
