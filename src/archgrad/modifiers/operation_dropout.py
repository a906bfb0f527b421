"""The dropout of P-DARTS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.context import Context
from archgrad.engine.candidates import candidates
from archgrad.errors import ArchgradError
from archgrad.operations import DropPath
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class OperationDropout(Modifier):
    """Dropout behind some candidates, skip connections by default, in training mode only.

    ``rates``: the first rate of each stage, when the run is divided into as many stages of equal length; within a
    stage it falls as exp(−``decay``·epochs). ``per``: ``"element"`` drops numbers, ``"image"`` whole paths.

    *Source:* P-DARTS, arXiv 1904.12760, section 3.3.2 (rates 0, 0.4, 0.7 and a decay of 0.2 in its published code).
    *Differs:* one published library kept the rate constant, dropped in evaluation too, and refused a rate of 0.
    """

    rates: tuple[float, ...] = (0.0, 0.4, 0.7)
    decay: float = 0.2
    operations: tuple[str, ...] = ("skip_connect",)
    per: Literal["element", "image"] = "element"

    def __post_init__(self) -> None:
        if not self.rates or not all(0 <= rate < 1 for rate in self.rates):
            raise ArchgradError(f"OperationDropout: rates must be numbers in [0, 1), got {self.rates!r}")
        if self.decay < 0:
            raise ArchgradError(f"OperationDropout: decay must not be negative, got {self.decay}")
        if self.per not in ("element", "image"):
            raise ArchgradError(f"OperationDropout: per must be 'element' or 'image', got {self.per!r}")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        found = [candidate for candidate in candidates(supernet.network) if candidate.name in self.operations]
        if not found:
            raise ArchgradError(f"OperationDropout: no candidate of this network is one of {list(self.operations)}")
        for candidate in found:
            drop = _Dropout() if self.per == "element" else _PathDropout()
            candidate.owner[candidate.name] = nn.Sequential(candidate.module, drop)

    def epoch_start(self, supernet: Supernet, context: Context) -> None:
        rate = self.rate(context.clock.epoch, context.clock.epochs)
        for module in supernet.network.modules():
            if isinstance(module, _Dropout | _PathDropout):
                module.rate = rate

    def rate(self, epoch: int, epochs: int) -> float:
        """The rate in an epoch of a run."""
        length = math.ceil(epochs / len(self.rates))
        stage, since = min(epoch // length, len(self.rates) - 1), epoch % length
        return self.rates[stage] * math.exp(-self.decay * since)


class _Dropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.rate, self.training)


class _PathDropout(DropPath):
    """A class of its own, so that other modifiers' drop-path keeps its own rate."""
