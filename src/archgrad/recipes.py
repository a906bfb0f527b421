"""How settled networks are trained: the published recipes, and a short one for laptops."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from archgrad.attacks import PGD, Attack
from archgrad.errors import ArchgradError, require_not_negative, require_number, require_positive, unknown
from archgrad.optim import cosine


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: stochastic gradient descent along a schedule, and what surrounds it.

    `batch_size` counts the images of all processes together. `lr` falls to `lr_min`, in steps of an epoch or, with
    `lr_per_step`, continuously, along a cosine, after a linear rise over `warm_up_epochs`; with `drops`, shares of the
    epochs, it is instead multiplied by 0.1 after each of them. `clip` bounds the gradient norm (0: off).
    `auxiliary_weight` weighs the loss of an auxiliary head. `drop_path` is reached linearly: epoch e of E has the rate
    drop_path · e / E. `augment` applies the dataset's crop and flip. `cutout` is the side of the square in pixels of a
    32×32 image, and covers the same share of images of other sizes (0: off). `adversarial` attacks the images of every
    step, with the network as it is in that step, and the network learns the result.
    """

    epochs: int
    batch_size: int
    lr: float
    lr_min: float = 0.0
    lr_per_step: bool = False
    warm_up_epochs: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    clip: float = 0.0
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    drop_path: float = 0.0
    augment: bool = True
    cutout: int = 0
    drops: tuple[float, ...] = ()
    adversarial: Attack | None = None

    def __post_init__(self) -> None:
        require_positive("recipe", epochs=self.epochs, batch_size=self.batch_size, lr=self.lr)
        not_negative = ("lr_min", "momentum", "weight_decay", "clip", "auxiliary_weight", "warm_up_epochs", "cutout")
        require_not_negative("recipe", **{name: getattr(self, name) for name in not_negative})
        require_number("recipe", drop_path=self.drop_path, label_smoothing=self.label_smoothing)
        if self.nesterov and not self.momentum:
            raise ArchgradError("recipe: nesterov needs a momentum above 0")
        for name in ("epochs", "batch_size", "warm_up_epochs", "cutout"):
            if int(getattr(self, name)) != getattr(self, name):
                raise ArchgradError(f"recipe: {name} must be a whole number, got {getattr(self, name)!r}")
        for name in ("drop_path", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ArchgradError(f"recipe: {name} must lie in [0, 1), got {getattr(self, name)!r}")
        if not all(0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(self.drops):
            raise ArchgradError(
                f"recipe: drops must be shares of the epochs, rising, each in (0, 1), got {self.drops!r}"
            )

    def lr_at(self, epoch: int, step: int, steps: int) -> float:
        """The learning rate of one step."""
        fraction = step / steps if self.lr_per_step else 0.0
        if epoch < self.warm_up_epochs:
            unit = 1 / steps if self.lr_per_step else 1.0
            return self.lr * (epoch + fraction + unit) / self.warm_up_epochs
        if self.drops:
            return self.lr * 0.1 ** sum(epoch >= round(drop * self.epochs) for drop in self.drops)
        position = (epoch + fraction - self.warm_up_epochs) / max(1, self.epochs - self.warm_up_epochs)
        return cosine(self.lr, self.lr_min, position)

    def drop_path_at(self, epoch: int) -> float:
        """The drop-path rate of an epoch."""
        return self.drop_path * epoch / self.epochs


def darts() -> Recipe:
    """The recipe of DARTS for CIFAR-10.

    *Source:* Liu, Simonyan, Yang, DARTS, arXiv 1806.09055, appendix A.2, and its published `cnn/train.py`.
    """
    return Recipe(
        epochs=600, batch_size=96, lr=0.025, weight_decay=3e-4, clip=5, auxiliary_weight=0.4, drop_path=0.2, cutout=16
    )


def nasbench201() -> Recipe:
    """The 200-epoch recipe of NAS-Bench-201.

    *Source:* Dong and Yang, NAS-Bench-201, arXiv 2001.00326, table 2; the learning rate changes every step as in the
    published code.
    """
    return Recipe(epochs=200, batch_size=256, lr=0.1, lr_per_step=True, nesterov=True, weight_decay=5e-4)


def quick() -> Recipe:
    """A short recipe for small images on a laptop: high learning rate, short warm-up, light augmentation."""
    return Recipe(
        epochs=30, batch_size=64, lr=0.1, lr_per_step=True, warm_up_epochs=2, nesterov=True, weight_decay=5e-4, clip=5
    )


def adversarial() -> Recipe:
    """Adversarial training for CIFAR-10: PGD with 7 steps of 2/255 within 8/255, from a random start.

    *Source:* Madry et al., arXiv 1706.06083; the settings with which robust architecture search compares networks
    (CRoZe, arXiv 2306.05031): rate 0.1, a tenth after epochs 100 and 150 of 200.
    """
    return Recipe(
        epochs=200, batch_size=128, lr=0.1, drops=(0.5, 0.75), weight_decay=5e-4, adversarial=PGD(step=2 / 255, steps=7)
    )


RECIPES = {"darts": darts, "nasbench201": nasbench201, "quick": quick, "adversarial": adversarial}


def recipe_of(recipe: str | Recipe, epochs: int | None = None, batch_size: int | None = None, **changes: Any) -> Recipe:
    """A recipe by name or as it is, with some of its values changed; None changes nothing."""
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise unknown("recipe", recipe, RECIPES)
        recipe = RECIPES[recipe]()
    changes = {"epochs": epochs, "batch_size": batch_size, **changes}
    known = [f.name for f in fields(Recipe)]
    for name in changes:
        if name not in known:
            raise unknown("recipe setting", name, known)
    return replace(recipe, **{name: value for name, value in changes.items() if value is not None})
