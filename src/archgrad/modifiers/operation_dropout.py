"""The dropout of P-DARTS."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.context import Context
from archgrad.engine.candidates import candidates, lacking
from archgrad.errors import ArchgradError
from archgrad.operations import DropPath, FactorizedReduce
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class OperationDropout(Modifier):
    """Dropout behind some candidates, skip connections by default, in training mode only.

    ``rates``: one for each stage, when the run is divided into as many stages of equal length. In the ``warm_up``
    share of a stage, whose epochs train weights only, the rate falls linearly, rate·(length − k − 1)/length in the k-th
    epoch; then it starts again from its full value and falls as exp(−``decay``·epochs). ``per``: ``"element"`` drops
    numbers, ``"image"`` whole paths. A skip connection that halves the map is a convolution, and gets none.

    *Source:* P-DARTS, arXiv 1904.12760, section 3.3.2 (rates 0, 0.4, 0.7), and its published program: 10 of 25 epochs
    of warm-up, a decay of 0.2. *Differs:* the command beside that program has 0.1 for the first rate. One published
    library kept the rate constant, dropped in evaluation too, and refused a rate of 0.
    """

    needs = "candidates of the names that its operations list, skip_connect unless told otherwise"

    rates: tuple[float, ...] = (0.0, 0.4, 0.7)
    decay: float = 0.2
    warm_up: float = 0.4
    operations: tuple[str, ...] = ("skip_connect",)
    per: Literal["element", "image"] = "element"

    def __post_init__(self) -> None:
        if not self.rates or not all(0 <= rate < 1 for rate in self.rates):
            raise ArchgradError(f"OperationDropout: rates must be numbers in [0, 1), got {self.rates!r}")
        if self.decay < 0:
            raise ArchgradError(f"OperationDropout: decay must not be negative, got {self.decay}")
        if not 0 <= self.warm_up < 1:
            raise ArchgradError(f"OperationDropout: warm_up must be a share of a stage, in [0, 1), got {self.warm_up}")
        if self.per not in ("element", "image"):
            raise ArchgradError(f"OperationDropout: per must be 'element' or 'image', got {self.per!r}")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        found = [candidate for candidate in candidates(supernet.network) if candidate.name in self.operations]
        if not found:
            raise lacking(self)
        for candidate in found:
            if isinstance(candidate.module, FactorizedReduce):
                continue
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
        stage = min(epoch // length, len(self.rates) - 1)
        length, since = min(length, epochs - stage * length), epoch - stage * length
        restart = round(self.warm_up * length)
        if since < restart:
            return self.rates[stage] * (length - since - 1) / length
        return self.rates[stage] * math.exp(-self.decay * (since - restart))


class _Dropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.rate, self.training)


class _PathDropout(DropPath):
    """A class of its own, so that other modifiers' drop-path keeps its own rate."""
