"""Drop-path in the supernet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from archgrad.anneal import Anneal, value_at
from archgrad.context import Context
from archgrad.engine.candidates import candidates
from archgrad.errors import ArchgradError
from archgrad.operations import DropPath as Drop
from archgrad.operations import Zero
from archgrad.roles import Modifier
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class DropPath(Modifier):
    """Every candidate that is not an identity is dropped, image by image, with a rate that grows over the epochs.

    *Source:* R-DARTS, arXiv 1909.09656, section 5.1: linear from 0 to 0.2 (S1, CIFAR-10; 0.0 to 0.6 were tried).
    """

    rate: float | Anneal = Anneal(0.0, 0.2)

    def __post_init__(self) -> None:
        ends = (self.rate.start, self.rate.end) if isinstance(self.rate, Anneal) else (self.rate,)
        if not all(0 <= rate < 1 for rate in ends):
            raise ArchgradError(f"DropPath: the rate must be in [0, 1), got {self.rate!r}")

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        for candidate in candidates(supernet.network):
            if not isinstance(candidate.module, nn.Identity | Zero):
                candidate.owner[candidate.name] = nn.Sequential(candidate.module, _Drop())

    def epoch_start(self, supernet: Supernet, context: Context) -> None:
        rate = value_at(self.rate, context.clock)
        for module in supernet.network.modules():
            if isinstance(module, _Drop):
                module.rate = rate


class _Drop(Drop):
    """A class of its own, so that drop-path of a user's network keeps its own rate."""
