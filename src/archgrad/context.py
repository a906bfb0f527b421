"""What a component may look at besides its arguments: clock, supernet, pruned candidates, memory, randomness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from archgrad.genotype import Genotype
from archgrad.randomness import generator
from archgrad.supernet import Supernet

Alphas = Mapping[str, Tensor]
"""Group → ``[edges, ops]``."""


@dataclass(frozen=True)
class Clock:
    """Where a run stands: epoch and step count from 0, ``steps`` are those of one epoch."""

    epoch: int = 0
    epochs: int = 1
    step: int = 0
    steps: int = 1

    @property
    def progress(self) -> float:
        """0 in the first epoch, 1 in the last and in those that tune a finished search."""
        return min(1.0, self.epoch / (self.epochs - 1)) if self.epochs > 1 else 0.0


@dataclass(frozen=True)
class Context:
    """What a component may look at: the clock, the supernet, pruned candidates, its memory, and its own randomness.

    ``masks``: group → ``[edges, ops]`` on the host, True for candidates that exist and have not been pruned.
    ``memory``: what a component remembers between steps. It belongs to it alone and is part of every checkpoint.
    """

    supernet: Supernet | None = None
    clock: Clock = field(default_factory=Clock)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def candidates(self, group: str) -> Bool[Tensor, "edges ops"] | None:
        """On the host, True for candidates that exist and have not been pruned; None where nobody knows."""
        pruned = self.masks.get(group)
        if self.supernet is None or group not in self.supernet.groups:
            return pruned
        existing = self.supernet.groups[group].mask
        return existing if pruned is None else existing & pruned

    def random(self, generator: torch.Generator) -> Genotype:
        """A genotype drawn uniformly from the candidates that have not been pruned; needs a supernet."""
        assert self.supernet is not None
        groups = self.supernet.groups
        left = {name: group.mask & self.masks.get(name, group.mask) for name, group in groups.items()}
        whole = all(torch.equal(left[name], group.mask) for name, group in groups.items())
        return self.supernet.random(generator, None if whole else left)

    def generator(self, purpose: str = "") -> torch.Generator:
        """The same numbers whenever it is asked for within one step: evaluations of one step replay their draws."""
        return generator(self.seed, "component", purpose, self.clock.epoch, self.clock.step)

    def within(self, name: str) -> Context:
        """The context of a wrapped component, with a memory of its own."""
        return replace(self, memory=self.memory.setdefault(name, {}))

    def of_epoch(self) -> Context:
        """The context at the start of the epoch, for draws that last all of it."""
        return replace(self, clock=replace(self.clock, step=0))
