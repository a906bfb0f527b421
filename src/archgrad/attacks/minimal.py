"""Attacks that seek the smallest perturbation that fools: Carlini and Wagner's, and DeepFool, by `foolbox`."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from archgrad.attacks.attack import Attack
from archgrad.attacks.library import Pixels, load
from archgrad.attacks.victim import Images, Labels, Norm, Victim, chosen
from archgrad.errors import require_positive


@dataclass(frozen=True)
class Minimal(Attack):
    """Seeks the smallest perturbation that fools; one that is larger than the radius does not count as an attack.

    Where none was found, the image stays as it is. The network is in evaluation mode.
    """

    evaluating: ClassVar[bool] = True

    @abstractmethod
    def of_foolbox(self, attacks: Any) -> Any:
        """The attack, out of the module of them."""

    def perturb(self, victim: Victim, x: Images, y: Labels, generator: torch.Generator) -> Images:
        library, pixels = load("foolbox", type(self).__name__), Pixels(victim, x)
        model = library.PyTorchModel(pixels, bounds=pixels.bounds, device=x.device)
        raw, _, fooled = self.of_foolbox(library.attacks)(model, pixels.of(x), y, epsilons=None)
        found = pixels.back(chosen(fooled, raw, pixels.of(x)), x)
        # Rounding on the way back may undo a perturbation that is only just large enough: then it is none.
        return chosen(victim.margin(found, y) >= 0, found, x)

    def within(self, victim: Victim, x: Images, found: Images) -> Images:
        """What was found where it is within the radius, else the image as it was."""
        return chosen(victim.distance(found, x, self.norm) <= self.epsilon, found, x)


@dataclass(frozen=True)
class CarliniWagner(Minimal):
    """The smallest L2 perturbation by Carlini and Wagner's attack: Adam on ‖δ‖² + c · margin, c by binary search.

    ``epsilon``: L2 radius in pixel units.

    *Source:* Carlini and Wagner, arXiv 1608.04644, by `foolbox`. *Differs:* 5 × 200 steps instead of 9 × 10,000.
    """

    epsilon: float = 0.5
    steps: int = 200
    searches: int = 5
    lr: float = 0.01
    confidence: float = 0.0
    norm: ClassVar[Norm] = "l2"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("CarliniWagner", steps=self.steps, searches=self.searches, lr=self.lr)

    @property
    def label(self) -> str:
        """What tables call it."""
        return "carlini_wagner"

    def of_foolbox(self, attacks: Any) -> Any:
        return attacks.L2CarliniWagnerAttack(
            steps=self.steps, binary_search_steps=self.searches, stepsize=self.lr, confidence=self.confidence
        )


@dataclass(frozen=True)
class DeepFool(Minimal):
    """The smallest L∞ perturbation by DeepFool: across the nearest boundary of the linearised network, repeatedly.

    *Source:* Moosavi-Dezfooli, Fawzi, Frossard, arXiv 1511.04599 (50 steps, overshoot 0.02), by `foolbox`.
    """

    steps: int = 50
    overshoot: float = 0.02

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("DeepFool", steps=self.steps)

    def of_foolbox(self, attacks: Any) -> Any:
        return attacks.LinfDeepFoolAttack(steps=self.steps, overshoot=self.overshoot)
