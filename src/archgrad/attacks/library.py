"""Other libraries' attacks, behind the extra ``robust``: they see a module of pixels in [0, 1].

Which libraries, by trial on Python 3.11 to 3.13 with current numpy and torch:

* **pyautoattack** is the authors' own AutoAttack as a package without any dependency but torch and numpy.
* **foolbox** has Carlini and Wagner's attack and DeepFool as native torch code: all images of a batch at once, 50 times
  as fast as those of adversarial-robustness-toolbox, which go through numpy, and with smaller perturbations (median
  L2 0.127 against 0.141 on a small network; DeepFool fooled 100 % against 94 %). That toolbox's AutoAttack also needs a
  package that it does not name, and lacks FAB.
* torchattacks pins an old ``requests``, cleverhans needs TensorFlow: neither installs beside the others.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.attacks.victim import Images, Victim
from archgrad.errors import ArchgradError


class Pixels(nn.Module):
    """A victim as a module of pixels in [0, 1], for libraries that know nothing of normalisation."""

    def __init__(self, victim: Victim, x: Images) -> None:
        super().__init__()
        if victim.bounds is None:
            raise ArchgradError("attack: AutoAttack, CarliniWagner and DeepFool need inputs that have bounds: images")
        self.network, self.bounds = victim.network, victim.bounds
        self.mean, self.std = victim.scale(x)
        self.training = victim.network.training

    def forward(self, pixels: Tensor) -> Any:
        seen = (pixels - self.mean) / self.std
        if seen.requires_grad:  # pyautoattack looks at gradients in a way that channels last does not allow
            seen.register_hook(lambda gradient: gradient.contiguous())  # type: ignore[no-untyped-call]
        return self.network(seen)

    def of(self, x: Images) -> Images:
        """The pixels of what the network sees."""
        return (x * self.std + self.mean).clamp(*self.bounds).contiguous()

    def back(self, pixels: Images, x: Images) -> Images:
        """What the network sees of pixels: images ``x`` that were not changed come back bit for bit."""
        return torch.where(pixels == self.of(x), x, ((pixels - self.mean) / self.std).detach())


def load(name: str, attack: str) -> ModuleType:
    """A library of the extra ``robust``."""
    # foolbox imports GitPython for something we do not use; without a git program that would raise.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = getattr(error, "name", None) or name
        raise ArchgradError(f"{attack} needs {name} ({missing} is missing): pip install 'archgrad[robust]'") from None
