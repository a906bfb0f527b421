"""Attacks of other libraries, behind the extra ``robust``: AutoAttack, Carlini and Wagner's, DeepFool.

Which libraries, by trial on Python 3.11 to 3.13 with current numpy and torch:

* **pyautoattack** is the authors' own AutoAttack as a package without any dependency but torch and numpy.
* **foolbox** has Carlini and Wagner's attack and DeepFool as native torch code: all images of a batch at once, 50 times
  as fast as those of adversarial-robustness-toolbox, which go through numpy, and with smaller perturbations (median
  L2 0.127 against 0.141 on a small network; DeepFool fooled 100 % against 94 %). That toolbox' AutoAttack also needs a
  package that it does not name, and lacks FAB.
* torchattacks pins an old ``requests``, cleverhans needs TensorFlow: neither installs beside the others.

The libraries see a module of pixels in [0, 1], and what they return is projected onto our own ball.
"""

from __future__ import annotations

import importlib
import os
import sys
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from archgrad.errors import ArchgradError, require_positive, unknown
from archgrad.robustness.attacks import (
    Attack,
    Ball,
    Bounds,
    Images,
    Labels,
    Loss,
    Norm,
    channels,
    expanded,
    margin,
    untouched,
)

STANDARD = ("apgd-ce", "apgd-t", "fab-t", "square")
"""The four attacks of AutoAttack's standard version."""


@dataclass(frozen=True)
class AutoAttack(Attack):
    """APGD on the cross-entropy, targeted APGD on the difference of logits, targeted FAB, and Square, one after the
    other on what the earlier ones left; nothing to tune.

    ``attacks``: which of them. ``queries`` of Square per image. With fewer than 10 classes there are fewer targets,
    and with fewer than 4 no difference of logits, whose attack is then left out. The network is in evaluation mode.

    *Source:* Croce and Hein, arXiv 2003.01690 (the standard version), by their own code in `pyautoattack`.
    """

    attacks: tuple[str, ...] = STANDARD
    queries: int = 5000
    batch_size: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("AutoAttack", queries=self.queries, batch_size=self.batch_size)
        known = (*STANDARD, "apgd-dlr", "fab")
        if not self.attacks:
            raise ArchgradError(f"AutoAttack: name at least one attack of {', '.join(known)}")
        for name in self.attacks:
            if name not in known:
                raise unknown("attack of AutoAttack", name, known)

    def __call__(
        self,
        network: nn.Module,
        x: Images,
        y: Labels,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
        loss: Loss | None = None,
        generator: torch.Generator | None = None,
    ) -> Images:
        library = load("pyautoattack", "AutoAttack")
        generator = generator or torch.Generator().manual_seed(0)
        x = x.detach()
        if self.epsilon == 0 or not len(x):
            return x
        with untouched(network, generator, evaluating=True):
            pixels = Pixels(network, x, mean, std, bounds)
            with torch.no_grad():
                classes = pixels(pixels.of(x[:1])).shape[1]
            chosen = [name for name in self.attacks if classes >= 4 or name not in ("apgd-t", "apgd-dlr")]
            seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
            attack = library.AutoAttack(
                pixels, eps=self.epsilon, attacks=chosen, version="custom", seed=seed, device=x.device
            )
            attack.verbose = False
            # As its standard version sets them, the targets limited to the classes that there are.
            attack.apgd.n_restarts = attack.apgd_targeted.n_restarts = attack.fab.n_restarts = 1
            attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(9, classes - 1)
            attack.square.n_queries = self.queries
            trace = sys.gettrace()  # the library sets it, and would end a debugger's
            try:
                found, _ = attack.run_standard_evaluation(pixels.of(x), y, batch_size=self.batch_size)
            finally:
                sys.settrace(trace)
        return pixels.back(found, x, Ball.around(x, self.epsilon, mean, std, bounds))


@dataclass(frozen=True)
class Minimal(Attack):
    """Seeks the smallest perturbation that fools; one that is larger than the radius does not count as an attack."""

    @abstractmethod
    def smallest(
        self,
        network: nn.Module,
        x: Images,
        y: Labels,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> Images:
        """Misclassified images near the given ones; where none was found, the given one."""

    def __call__(
        self,
        network: nn.Module,
        x: Images,
        y: Labels,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
        loss: Loss | None = None,
        generator: torch.Generator | None = None,
    ) -> Images:
        found = self.smallest(network, x, y, mean=mean, std=std, bounds=bounds, generator=generator)
        near = distance(found, x, std, self.norm) <= self.epsilon
        return torch.where(expanded(near, x), found, x)

    def _by_foolbox(
        self,
        attack: Any,
        network: nn.Module,
        x: Images,
        y: Labels,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        bounds: Bounds,
        generator: torch.Generator | None,
    ) -> Images:
        generator = generator or torch.Generator().manual_seed(0)
        x = x.detach()
        if not len(x):
            return x
        with untouched(network, generator, evaluating=True):
            pixels = Pixels(network, x, mean, std, bounds)
            model = load("foolbox", type(self).__name__).PyTorchModel(pixels, bounds=pixels.bounds, device=x.device)
            raw, _, fooled = attack(model, pixels.of(x), y, epsilons=None)
            found = pixels.back(torch.where(expanded(fooled, x), raw, pixels.of(x)), x)
            # Rounding on the way back may undo a perturbation that is only just large enough: then it is none.
            return torch.where(expanded(margin(network, found, y) >= 0, x), found, x)


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
        """How tables call it."""
        return "carlini_wagner"

    def smallest(
        self,
        network: nn.Module,
        x: Images,
        y: Labels,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> Images:
        kind = load("foolbox", "CarliniWagner").attacks.L2CarliniWagnerAttack
        attack = kind(steps=self.steps, binary_search_steps=self.searches, stepsize=self.lr, confidence=self.confidence)
        return self._by_foolbox(attack, network, x, y, mean, std, bounds, generator)


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

    def smallest(
        self,
        network: nn.Module,
        x: Images,
        y: Labels,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        bounds: Bounds = (0.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> Images:
        kind = load("foolbox", "DeepFool").attacks.LinfDeepFoolAttack
        attack = kind(steps=self.steps, overshoot=self.overshoot)
        return self._by_foolbox(attack, network, x, y, mean, std, bounds, generator)


class Pixels(nn.Module):
    """A network as one of pixels in [0, 1], for libraries that know nothing of normalisation."""

    def __init__(
        self,
        network: nn.Module,
        x: Images,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        bounds: Bounds,
    ) -> None:
        super().__init__()
        if bounds is None:
            raise ArchgradError("attack: AutoAttack, CarliniWagner and DeepFool need inputs that have bounds: images")
        self.network, self.bounds = network, bounds
        self.mean, self.std = channels(x, mean, 0.0), channels(x, std, 1.0)
        self.training = network.training

    def forward(self, pixels: Tensor) -> Any:
        seen = (pixels - self.mean) / self.std
        if seen.requires_grad:  # pyautoattack looks at gradients in a way that channels last does not allow
            seen.register_hook(lambda gradient: gradient.contiguous())  # type: ignore[no-untyped-call]
        return self.network(seen)

    def of(self, x: Images) -> Images:
        """The pixels of what the network sees."""
        return (x * self.std + self.mean).clamp(*self.bounds).contiguous()

    def back(self, pixels: Images, x: Images, ball: Ball | None = None) -> Images:
        """What the network sees of pixels: images ``x`` that were not changed come back bit for bit."""
        seen = ((pixels - self.mean) / self.std).detach()
        seen = seen if ball is None else ball.project(seen)
        return torch.where(pixels == self.of(x), x, seen)


def distance(found: Images, x: Images, std: Sequence[float] | None, norm: Norm) -> Tensor:
    """How far images are from each other, in pixel units."""
    difference = ((found - x) * channels(x, std, 1.0)).flatten(1)
    return difference.norm(dim=1) if norm == "l2" else difference.abs().amax(1)


def load(name: str, attack: str) -> ModuleType:
    """A library of the extra ``robust``."""
    # foolbox imports GitPython for something we do not use; without a git program that would raise.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = getattr(error, "name", None) or name
        raise ArchgradError(f"{attack} needs {name} ({missing} is missing): pip install 'archgrad[robust]'") from None
