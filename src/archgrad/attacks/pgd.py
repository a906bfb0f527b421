"""FGSM and PGD: sign steps up the loss, inside a ball of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from archgrad.attacks.attack import Attack
from archgrad.attacks.victim import Bounds, Images, Labels, Victim, chosen
from archgrad.data.augmentation import Normalisation
from archgrad.errors import ArchgradError, require_positive
from archgrad.tasks.task import Loss


@dataclass(frozen=True)
class FGSM(Attack):
    """One step of the length of the radius, x + ε · sign ∇_x ℓ(f(x), y).

    *Source:* Goodfellow, Shlens, Szegedy, arXiv 1412.6572.
    """

    def perturb(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        return victim.moved(x, self.epsilon * victim.gradient(x, y).sign())


@dataclass(frozen=True)
class PGD(Attack):
    """Repeated steps, x ← Π(x + step · sign ∇_x ℓ(f(x), y)); Π projects onto the ball of images within ε.

    ``step``: in pixel units; a quarter of the radius by default. ``random_start``: from a point drawn uniformly from
    the ball. ``restarts``: of several such runs, the result with the largest margin of a wrong class, for each image.

    *Source:* Madry et al., arXiv 1706.06083, section 2.1: radius 8/255, steps of 2/255, 7 in training and 20 in tests.
    *Differs:* the start is drawn from the ball, whose corners the published code's clipping prefers.
    """

    step: float | None = None
    steps: int = 20
    restarts: int = 1
    random_start: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("PGD", steps=self.steps, restarts=self.restarts)
        if self.step is not None and not self.step >= 0:
            raise ArchgradError(f"PGD: step must not be negative, got {self.step!r}")
        if self.restarts > 1 and not self.random_start:
            raise ArchgradError("PGD: restarts without a random start are all the same: use random_start=True")

    @property
    def label(self) -> str:
        """What tables call it."""
        return f"pgd-{self.steps}" + (f"x{self.restarts}" if self.restarts > 1 else "")

    def perturb(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        worst = self._run(victim, x, y, generator)
        if self.restarts == 1:
            return worst
        largest = victim.margin(worst, y)
        for _ in range(self.restarts - 1):
            found = self._run(victim, x, y, generator)
            margin = victim.margin(found, y)
            worst, largest = chosen(margin > largest, found, worst), torch.maximum(margin, largest)
        return worst

    def _run(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        ball = victim.ball(x, self.epsilon)
        step = self.epsilon / 4 if self.step is None else self.step
        found = ball.random(generator) if self.random_start else x
        for _ in range(self.steps):
            found = ball.project(victim.moved(found, step * victim.gradient(found, y).sign()))
        return found


def fgsm(network: nn.Module, x: Images, y: Labels, *, epsilon: float = 8 / 255, **options: Any) -> Images:
    """`FGSM` on a network, in one call; the other options are those of `pgd` that say what the network sees."""
    return pgd(network, x, y, epsilon=epsilon, step=epsilon, steps=1, random_start=False, **options)


def pgd(
    network: nn.Module,
    x: Images,
    y: Labels,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    bounds: Bounds = (0.0, 1.0),
    loss: Loss | None = None,
    generator: torch.Generator | None = None,
    **settings: Any,
) -> Images:
    """`PGD` on a network, in one call: ``settings`` are its own, the other options those of a `Victim`.

    ``x``: images as the network sees them, (pixels − ``mean``) / ``std``; pixels as they are by default.
    """
    victim = Victim(network, Normalisation(tuple(mean or ()), tuple(std or ())), bounds, loss=loss)
    return PGD(**settings)(victim, x, y, generator)
