"""Parts of the channels of a map, as candidates with partial channels see them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from archgrad.errors import ArchgradError


def taken(x: Tensor, share: int, order: Tensor | None = None) -> Tensor:
    """One in ``share`` channels, rounded down: the first, or the first of ``order``."""
    width = x.shape[1] // share
    return x[:, :width] if order is None else x[:, order[:width]]


def left(x: Tensor, share: int, order: Tensor | None = None) -> Tensor:
    """The channels that `taken` leaves."""
    width = x.shape[1] // share
    return x[:, width:] if order is None else x[:, order[width:]]


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channel shuffle: the first of every group, then the second of every group, and so on; the last may be smaller."""
    channels = x.shape[1]
    width = -(-channels // groups)
    parts = torch.split(x, width, 1)
    last = parts[-1].shape[1]
    if last < width:  # what all groups have, and then what only the full ones have
        both = [part[:, :last] for part in parts], [part[:, last:] for part in parts[:-1]]
        return torch.cat([torch.stack(some, 2).flatten(1, 2) for some in both if some], 1)
    return torch.stack(parts, 2).flatten(1, 2)


def partially(compute: Callable[[Tensor], Tensor], x: Tensor, share: int, order: Tensor | None = None) -> Tensor:
    """shuffle(cat(compute(x[:C/K]), x[C/K:])), of the shape of ``x``.

    Raises ArchgradError where ``compute`` changes the shape: what passes it by could not be put beside its result.
    """
    seen = taken(x, share, order)
    found = compute(seen)
    if found.shape != seen.shape:
        raise ArchgradError(
            f"candidates that see one in {share} channels must keep the shape {list(seen.shape)} of their input, "
            f"and gave {list(found.shape)}"
        )
    return shuffled(torch.cat([found, left(x, share, order)], 1), share)
