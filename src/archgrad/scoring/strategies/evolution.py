"""Regularised evolution."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from archgrad.errors import ArchgradError, require_positive
from archgrad.genotype import Genotype
from archgrad.scoring.strategies.strategy import Scored, Strategy, best, mutated, uniform
from archgrad.spaces import Space


@dataclass(frozen=True)
class RegularisedEvolution(Strategy):
    """The population is the youngest ``population`` architectures; the best of ``tournament`` of them is the parent.

    *Source:* Real et al., arXiv 1802.01548. *Differs:* a genotype is scored once and does not enter a second time.
    """

    population: int = 50
    tournament: int = 10

    def __post_init__(self) -> None:
        require_positive("RegularisedEvolution", population=self.population, tournament=self.tournament)
        if self.tournament > self.population:
            raise ArchgradError(
                f"RegularisedEvolution: a tournament of {self.tournament} needs a population at least as large, "
                f"got {self.population}"
            )

    def proposals(self, seen: Sequence[Scored], space: Space, draw: torch.Generator) -> Iterator[Genotype]:
        """Uniform draws until the population is full, then mutated winners."""
        if len(seen) < self.population:
            yield from uniform(space, draw)
        alive = seen[-self.population :]
        while True:
            chosen = torch.randperm(len(alive), generator=draw)[: self.tournament].tolist()
            yield mutated(best([alive[i] for i in chosen]).genotype, space, draw)
