"""What tests of spaces share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from archgrad.operations import Noise


@pytest.fixture(autouse=True)
def fixed_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise depends on the shape only, so that networks which draw it in another order can be compared."""

    def forward(self: Noise, x: Tensor) -> Tensor:
        x = x[..., :: self.stride, :: self.stride]
        return torch.arange(x.numel(), dtype=x.dtype, device=x.device).cos().view(x.shape)

    monkeypatch.setattr(Noise, "forward", forward)
