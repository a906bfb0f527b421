"""What all attacks share; an attack itself is the formula that moves the images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from archgrad.attacks.victim import Images, Labels, Norm, Victim
from archgrad.errors import ArchgradError


@dataclass(frozen=True)
class Attack(ABC):
    """An attack and its settings; a new one states in `perturb` how it moves the images, and nothing else.

    ``epsilon``: the radius in pixel units, in the attack's ``norm``. ``evaluating``: whether the network is in
    evaluation mode meanwhile; else it keeps its mode.
    """

    epsilon: float = 8 / 255
    norm: ClassVar[Norm] = "linf"
    evaluating: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.epsilon >= 0:
            raise ArchgradError(f"{type(self).__name__}: epsilon must not be negative, got {self.epsilon!r}")

    @property
    def label(self) -> str:
        """What tables call it."""
        return type(self).__name__.lower()

    def __call__(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator | None = None) -> Images:
        """The images as the attack leaves them, within its radius; the network and torch's random numbers stay as
        they are. Everything random follows from ``generator``; without one, every call draws the same numbers.
        """
        x = victim.inputs(x)
        return x if self.epsilon == 0 else self.within(victim, x, self.unbounded(victim, x, y, generator))

    def unbounded(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator | None = None) -> Images:
        """The images as the formula leaves them, within the radius or not."""
        x, generator = victim.inputs(x), generator or torch.Generator().manual_seed(0)
        if not len(x):
            return x
        with victim.untouched(generator, self.evaluating):
            return self.perturb(victim, x, y, generator)

    @abstractmethod
    def perturb(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        """The formula: images that fool the victim, from images that it sees and their labels.

        ``x``, and the result: ``[n, …]``, normalised. What leaves the ball or the range of pixels is projected onto
        both afterwards.
        """

    def within(self, victim: Victim, x: Images, found: Images) -> Images:
        """The nearest images that are within the radius."""
        return victim.ball(x, self.epsilon).project(found)
