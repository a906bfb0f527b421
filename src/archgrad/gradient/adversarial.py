"""Searching for robust architectures: weights trained, and alphas updated, on images under attack."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from archgrad.attacks import PGD, Attack
from archgrad.attacks.victim import Victim
from archgrad.context import Alphas, Context
from archgrad.data import Normalisation
from archgrad.errors import ArchgradError
from archgrad.gradient.first_order import FirstOrder
from archgrad.gradient.plain import Plain
from archgrad.objective import Objective
from archgrad.roles import ArchitectureGradient, WeightGradient
from archgrad.supernet import Mixed

IMAGES = "a classification of images"


@dataclass(frozen=True)
class Adversarial(WeightGradient):
    """``base`` on the images as ``attack`` leaves them, ∇_ω ℓ_train(ω, α; x'): adversarial training of the supernet.

    The attack sees the supernet at the step's mixture and weights. ``normalisation``: that of the images, by which
    ε counts in pixels; the dataset's by default. The base may be any weight gradient, such as Λ-DARTS'.

    *Source:* Madry et al., arXiv 1706.06083, for a supernet; PGD with 7 steps within 8/255 as in RobNet, arXiv
    1911.10695.
    """

    needs = IMAGES

    attack: Attack = field(default_factory=lambda: PGD(steps=7))
    normalisation: Normalisation | None = None
    base: WeightGradient = field(default_factory=Plain)

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        under_attack = attacked(objective, alphas, context, self.attack, self.normalisation)
        return self.base(under_attack, alphas, context.within("base"))


@dataclass(frozen=True)
class RobustValidation(ArchitectureGradient):
    """``base`` on the validation images as ``attack`` leaves them, ∇_α ℓ_val(ω, α; x'): alphas that are robust.

    Images are attacked once per call at the alphas of the call, and are constants for the base. The base may be any
    architecture gradient; as the base of A²M's `FlatMinima` this attacks anew at every alpha that it looks at.
    """

    needs = IMAGES

    attack: Attack = field(default_factory=lambda: PGD(steps=7))
    normalisation: Normalisation | None = None
    base: ArchitectureGradient = field(default_factory=FirstOrder)

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor] | None:
        under_attack = attacked(objective, alphas, context, self.attack, self.normalisation)
        return self.base(under_attack, alphas, context.within("base"))


def attacked(
    objective: Objective, alphas: Alphas, context: Context, attack: Attack, normalisation: Normalisation | None
) -> Objective:
    """The objective with its images under attack."""
    x, y = objective.batch
    if attack.epsilon == 0:
        return objective
    if not isinstance(x, Tensor):
        raise ArchgradError(f"adversarial search: attacks need a batch of images, got {type(x).__name__}")
    scale = normalisation or objective.normalisation
    if scale is None and context.clock.epoch == context.clock.step == 0 and bool((x.min() < 0) | (x.max() > 1)):
        raise ArchgradError("adversarial search: pixels lie outside [0, 1]: give the attack their normalisation")
    with torch.no_grad():
        mixture = objective.mix(alphas)
    with objective.autocast():
        # The mean over the batch, as the step itself has it.
        victim = Victim(Mixed(objective.supernet, mixture), scale, task=objective.task, loss=objective.task.mean_loss)
        found = attack(victim, x, y, context.generator("attack"))
    return replace(objective, batch=(found, y))
