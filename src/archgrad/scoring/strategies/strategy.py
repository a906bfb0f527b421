"""What a strategy of a proxy search is, and the loop that follows it."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from archgrad.genotype import Genotype, current_settings, settle_slots, slot_distance
from archgrad.randomness import generator
from archgrad.spaces import Space

TRIES = 200
"""Proposals until one that is new and allowed is no longer expected, and then as many random draws times ten."""


@dataclass(frozen=True)
class Scored:
    """A genotype that was scored; higher is better, and the first score is what single-objective strategies seek."""

    genotype: Genotype
    scores: tuple[float, ...]


class Strategy(ABC):
    """Says which genotype to score next.

    Strategies are configuration: what they know is the list of all that was scored so far, in order. A search that is
    resumed from that list therefore goes on exactly.
    """

    @abstractmethod
    def proposals(self, seen: Sequence[Scored], space: Space, draw: torch.Generator) -> Iterator[Genotype]:
        """Genotypes without end, of which the first that is new and allowed is scored next."""


def explore(
    space: Space,
    score: Callable[[Genotype], Sequence[float]],
    strategy: Strategy,
    budget: int,
    *,
    seed: int = 0,
    allowed: Callable[[Genotype], bool] = lambda _: True,
    seen: Sequence[Scored] = (),
) -> Iterator[Scored]:
    """Score up to ``budget`` different genotypes, those ``seen`` included, and yield each new one once it is scored.

    Fewer where the space, or what is allowed of it, holds no more that could be found. Scores that are not finite count
    as the worst.
    """
    known = list(seen)
    genotypes = {one.genotype for one in known}
    while len(known) < budget:
        found = _next(space, strategy, known, genotypes, allowed, generator(seed, "proposal", len(known)))
        if found is None:
            return
        scored = Scored(found, tuple(finite(value) for value in score(found)))
        known.append(scored)
        genotypes.add(found)
        yield scored


def finite(value: float | None) -> float:
    """The score, −∞ if there is none."""
    return float(value) if value is not None and math.isfinite(value) else -math.inf


def best(seen: Sequence[Scored]) -> Scored:
    """The first of those with the highest first score."""
    return max(seen, key=lambda one: one.scores[0])


def mutated(genotype: Genotype, space: Space, draw: torch.Generator) -> Genotype:
    """A neighbour at one edit, drawn uniformly; the parent stays as it is."""
    settings = current_settings(genotype, space.groups)
    edits = [
        (name, number, setting)
        for name, group in space.groups.items()
        for number, slot in enumerate(group.slots)
        for setting in slot.settings
        if slot_distance(settings[name][number], setting) == 1
    ]
    if not edits:
        return genotype
    name, number, setting = edits[int(torch.randint(len(edits), (), generator=draw))]
    settings[name][number] = setting
    return settle_slots(settings, space.groups, genotype.space)


def uniform(space: Space, draw: torch.Generator) -> Iterator[Genotype]:
    """Uniform draws."""
    while True:
        yield space.random(draw)


def _next(
    space: Space,
    strategy: Strategy,
    known: Sequence[Scored],
    genotypes: set[Genotype],
    allowed: Callable[[Genotype], bool],
    draw: torch.Generator,
) -> Genotype | None:
    if len(genotypes) >= space.count:
        return None
    proposals = itertools.islice(strategy.proposals(known, space, draw), TRIES)
    for found in itertools.chain(proposals, itertools.islice(uniform(space, draw), 10 * TRIES)):
        if found not in genotypes and allowed(found):
            return found
    return None
