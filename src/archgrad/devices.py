"""Between the host and the device: copies that nobody waits for, and the one way to read something back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def placed(tensor: Tensor, device: torch.device | str, dtype: torch.dtype | None = None) -> Tensor:
    """A tensor of the host on the device, with other numbers on request, without waiting for the copy.

    On a GPU it goes through pinned memory: from any other memory the driver copies while the program waits.
    """
    device = torch.device(device)
    tensor = tensor if dtype is None else tensor.to(dtype)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def fetched(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same tensors on the host, in one transfer; waits until the device has come that far.

    All are of one type of numbers.
    """
    if not tensors or all(tensor.device.type == "cpu" for tensor in tensors):
        return list(tensors)
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).cpu()
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
