"""Warm-up and move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from archgrad.errors import require_positive
from archgrad.genotype import Genotype
from archgrad.scoring.strategies.strategy import Scored, Strategy, best, mutated, uniform
from archgrad.spaces import Space


@dataclass(frozen=True)
class WarmUpMove(Strategy):
    """``warm_up`` random genotypes, then always a neighbour of the best so far.

    *Source:* Abdelfattah et al., arXiv 2101.08134; with 50 as for CRoZe, arXiv 2306.05031.
    *Differs:* the published code of CRoZe mutates the best genotype in place, so that it forgets it.
    """

    warm_up: int = 50

    def __post_init__(self) -> None:
        require_positive("WarmUpMove", warm_up=self.warm_up)

    def proposals(self, seen: Sequence[Scored], space: Space, draw: torch.Generator) -> Iterator[Genotype]:
        """Uniform draws, then neighbours of the best."""
        if len(seen) < self.warm_up:
            yield from uniform(space, draw)
        parent = best(seen).genotype
        while True:
            yield mutated(parent, space, draw)
