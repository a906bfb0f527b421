"""The roles that a method is composed of, and what a component may look at besides its arguments.

Components are frozen dataclasses: configuration only. What one must remember between steps it keeps in
``context.memory``, which belongs to it alone and is part of every checkpoint.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.mixture import Mixture
from archgrad.randomness import generator
from archgrad.supernet import Supernet

if TYPE_CHECKING:
    from archgrad.objective import Objective
    from archgrad.search import State, Step

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
    """

    supernet: Supernet | None = None
    clock: Clock = field(default_factory=Clock)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    memory: dict[str, Any] = field(default_factory=dict)
    seed: int = 0

    def generator(self, purpose: str = "") -> torch.Generator:
        """The same numbers whenever it is asked for within one step: evaluations of one step replay their draws."""
        return generator(self.seed, "component", purpose, self.clock.epoch, self.clock.step)

    def within(self, name: str) -> Context:
        """The context of a wrapped component, with a memory of its own."""
        return replace(self, memory=self.memory.setdefault(name, {}))


class Relaxation(ABC):
    """Turns alphas into the weights of a mixture."""

    @abstractmethod
    def __call__(self, alphas: Alphas, sites: Mapping[str, int], context: Context | None = None) -> Mixture:
        """From alphas ``[edges, ops]`` per group to weights ``[sites, edges, ops]``, zero where a mask forbids."""


class ArchitectureGradient(ABC):
    """The direction in which alphas are changed."""

    @abstractmethod
    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor] | None:
        """One gradient per group, or None to leave the alphas alone; ``objective.inner`` is the training batch."""


class WeightGradient(ABC):
    """The direction in which the supernet's weights are changed."""

    @abstractmethod
    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        """One gradient per tensor of ``objective.weights``."""


class Modifier:
    """Changes how a choice is computed."""

    rebuilds: ClassVar[bool] = False
    """Whether `prepare` makes candidates anew, and therefore comes before all that change them."""

    def prepare(self, supernet: Supernet, size: Mapping[str, int]) -> None:
        """Rebuild what has to be rebuilt, once, before the search and whenever a schedule has the supernet rebuilt.

        ``size``: what schedules want the supernet to be (see `State.rebuild`). Architecture parameters of the
        modifier's own go into ``supernet.alphas``.
        """

    def epoch_start(self, supernet: Supernet, context: Context) -> None:
        """Called before every epoch, resumed ones included: the only time to set what modules remember."""

    def mix(self, mixture: Mixture, alphas: Alphas, context: Context) -> Mixture:
        """The mixture as the modifier wants it, in every forward pass."""
        return mixture


class Regulariser(ABC):
    """A term added to the loss of the alpha step."""

    @abstractmethod
    def __call__(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        """A differentiable scalar."""


class Schedule:
    """Acts on the state of a search between epochs."""

    def epoch_start(self, state: State, context: Context) -> None:
        """Called before every epoch, resumed ones included: what is set here follows from the clock and memory."""

    def step_end(self, state: State, step: Step, context: Context) -> None:
        """Called after every step."""

    def epoch_end(self, state: State, context: Context) -> None:
        """Called after every epoch, before its checkpoint."""


class Discretisation(ABC):
    """Settles the alphas."""

    @property
    def evaluates(self) -> bool:
        """Whether it needs a score, and is therefore asked once at the end and not after every epoch."""
        return False

    @abstractmethod
    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        """The genotype; ``score`` evaluates genotypes on validation data with the supernet's weights."""


class Score(ABC):
    """Tells how good a trained supernet is on validation data, higher is better."""

    @abstractmethod
    def __call__(self, genotype: Genotype) -> float:
        """At one genotype."""

    def masked(self, masks: Mapping[str, Tensor]) -> float:
        """At its alphas, with only the candidates that the masks ``[edges, ops]`` leave open."""
        raise ArchgradError(f"{type(self).__name__} cannot tell how good a mixture is")

    def tune(self, masks: Mapping[str, Tensor], epochs: int) -> None:
        """Train the weights for some epochs more, with only these candidates."""
        raise ArchgradError(f"{type(self).__name__} cannot train")
