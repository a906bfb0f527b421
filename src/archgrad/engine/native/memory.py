"""Memory of maps, used again step after step: clearing fresh pages takes a large part of what the kernels take."""

from __future__ import annotations

import mmap
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from archgrad.engine.native.library import library

LARGE = 2**14
"""Floats below which the allocator has room anyway."""
MOST = 256
"""Blocks that wait for their next use."""

Block = npt.NDArray[np.float32]
_waiting: list[Block] = []


class _Lease(np.ndarray[Any, np.dtype[np.float32]]):
    """A block in use. When the last tensor over it is gone it waits for its next use."""

    def __del__(self) -> None:
        if sys.is_finalizing():
            return
        assert isinstance(self.base, np.ndarray)
        library().archgrad_may_be_taken(self.base.ctypes.data, self.base.nbytes)
        _waiting.append(self.base)
        del _waiting[:-MOST]


def memory(floats: int) -> Tensor:
    """So many floats, whatever is in them. What waits for its next use is the system's whenever it needs memory."""
    if floats < LARGE:
        return torch.empty(floats)
    for number in reversed(range(len(_waiting))):
        if len(_waiting[number]) == floats:
            return torch.from_numpy(_waiting.pop(number).view(_Lease))
    try:
        pages = mmap.mmap(-1, 4 * floats)
    except OSError:  # where the size of a process is limited, what waits counts
        _waiting.clear()
        pages = mmap.mmap(-1, 4 * floats)
    fresh: Block = np.frombuffer(pages, np.float32)
    library().archgrad_large_pages(fresh.ctypes.data, fresh.nbytes)
    return torch.from_numpy(fresh.view(_Lease))
