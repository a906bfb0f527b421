"""Random search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from archgrad.genotype import Genotype
from archgrad.scoring.strategies.strategy import Scored, Strategy, uniform
from archgrad.spaces import Space


@dataclass(frozen=True)
class Random(Strategy):
    """Uniform draws without repetition."""

    def proposals(self, seen: Sequence[Scored], space: Space, draw: torch.Generator) -> Iterator[Genotype]:
        """Uniform draws."""
        return uniform(space, draw)
