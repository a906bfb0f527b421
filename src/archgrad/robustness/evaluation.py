"""How robust a trained network is: accuracy under attacks of growing radius, and on corrupted images."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archgrad import data as datasets
from archgrad.attacks import Attack, Minimal, attack_of
from archgrad.attacks.victim import Norm, Victim
from archgrad.data import Batches, Dataset, Subset
from archgrad.data.dataset import shape_text
from archgrad.distributed import World
from archgrad.errors import ArchgradError, unknown
from archgrad.evaluation import load_shared, require_fitting
from archgrad.nested import any_nan, called
from archgrad.progress import followed
from archgrad.randomness import generator
from archgrad.robustness.corruptions import CORRUPTIONS, GROUPS, SEVERITIES, corrupt

EPSILONS = tuple(e / 255 for e in (1, 2, 4, 8))
L2_RADII = (0.25, 0.5, 1.0)
RADII: dict[Norm, tuple[float, str]] = {"linf": (255.0, "L∞ radius in 1/255"), "l2": (1.0, "L2 radius")}
"""How people write radii: by what they are multiplied, and what they are then called."""


def hrs(clean: float, robust: float) -> float:
    """The harmonic robustness score 2CR/(C + R) of a clean and a robust accuracy; 0 if both are.

    *Source:* Devaguptapu et al., arXiv 2007.06365.

    >>> hrs(50.0, 50.0)
    50.0
    """
    return 2 * clean * robust / (clean + robust) if clean + robust else 0.0


@dataclass(frozen=True)
class Attacked:
    """Accuracy under one attack, per radius; ``median``: of the smallest perturbations, where the attack seeks them."""

    norm: Norm
    epsilons: tuple[float, ...]
    accuracies: tuple[float, ...]
    median: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Robustness:
    """What `robustness` measured; accuracies are shares of all images.

    ``attacks``: label → accuracies per radius. ``corruptions``: name → accuracy per severity of ``severities``.
    """

    clean: float
    images: int
    attacks: Mapping[str, Attacked]
    corruptions: Mapping[str, tuple[float, ...]]
    severities: tuple[int, ...] = SEVERITIES

    def hrs(self, attack: str, epsilon: float) -> float:
        """The harmonic robustness score of an attack at a radius."""
        found = self.attacks[attack]
        return hrs(self.clean, found.accuracies[found.epsilons.index(epsilon)])

    @property
    def corruption_error(self) -> float | None:
        """The mean error over all corruptions and severities; None where none were measured."""
        means = [statistics.fmean(row) for row in self.corruptions.values()]
        return 1 - statistics.fmean(means) if means else None

    def relative_corruption_error(self, reference: Robustness) -> float:
        """The mean corruption error (mCE): per corruption the error relative to that of a reference network, averaged.

        *Source:* Hendrycks and Dietterich, arXiv 1903.12261, section 4.1.
        """
        if self.corruptions.keys() != reference.corruptions.keys() or self.severities != reference.severities:
            raise ArchgradError("mean corruption error: the reference was measured on other corruptions")
        ratios = []
        for name, row in self.corruptions.items():
            error, known = (len(row) - sum(values) for values in (row, reference.corruptions[name]))
            if known == 0:
                raise ArchgradError(f"mean corruption error: the reference makes no mistake under {name}")
            ratios.append(error / known)
        return statistics.fmean(ratios)

    def group(self, name: str) -> float | None:
        """Mean accuracy over a group of corruptions; None where it was not measured."""
        rows = [statistics.fmean(self.corruptions[c]) for c in GROUPS[name] if c in self.corruptions]
        return statistics.fmean(rows) if rows else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, the harmonic scores and means with it."""
        return {
            "clean": self.clean,
            "images": self.images,
            "attacks": {
                label: {
                    **{f.name: getattr(found, f.name) for f in fields(found)},
                    "hrs": [hrs(self.clean, accuracy) for accuracy in found.accuracies],
                }
                for label, found in self.attacks.items()
            },
            "corruptions": {name: list(row) for name, row in self.corruptions.items()},
            "severities": list(self.severities),
            "corruption_error": self.corruption_error,
        }


def robustness(
    network: nn.Module,
    data: str | Path | Dataset,
    attacks: Sequence[str | Attack] = ("fgsm", "pgd"),
    epsilons: Sequence[float] = EPSILONS,
    *,
    l2_radii: Sequence[float] = L2_RADII,
    corruptions: Iterable[str] = tuple(CORRUPTIONS),
    severities: Sequence[int] = SEVERITIES,
    images: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool = True,
) -> Robustness:
    """Accuracy of a network on test images, under attacks at every radius, and under corruptions at every severity.

    Accuracy is the mean of what `Task.correct` says of each image; tasks without it are refused.

    ``attacks``: names (`ATTACKS`, or ``pgd-K``) or attacks, whose own radius does not count: those of L∞ attacks are
    ``epsilons``, those of L2 attacks ``l2_radii``, in pixel units. Images that are misclassified without an attack
    are not attacked. Every radius is attacked anew, so that an accuracy that rises with the radius, a sign of masked
    gradients, shows. ``images``: only so many, drawn by ``seed`` with the share of every class. The network is moved
    to the device and evaluated in evaluation mode; it keeps its own.

    Raises ArchgradError where the data are not images or the task knows no right and wrong, and for unknown names.
    """
    chosen, wanted = [attack_of(attack) for attack in attacks], list(corruptions)
    for name in wanted:
        if name not in CORRUPTIONS:
            raise unknown("corruption", name, CORRUPTIONS)
    world = World.start(device)
    dataset = load_shared(data, world)
    if dataset.image_size is None:
        raise ArchgradError(
            f"robustness: {dataset.name} has inputs of shape {shape_text(dataset.shape)}, which are no images"
        )
    if dataset.task.correctness is None:
        raise ArchgradError(f"robustness: {dataset.name} is for {dataset.task}, where no answer is right or wrong")
    require_fitting(network, dataset)
    shown = partial(followed, show=progress and world.main)
    with _evaluating(network, world.device):
        subset = _some(dataset.test, images, seed)
        measure = _Measure(Victim.of(network, dataset), subset, batch_size, seed, world.device)
        radii = {"linf": tuple(epsilons), "l2": tuple(l2_radii)}
        return Robustness(
            measure.clean,
            measure.count,
            {
                attack.label: measure.attacked(attack, radii[attack.norm])
                for attack in shown(chosen, "attacks", "attacks")
            },
            {
                name: tuple(measure.corrupted(name, s) for s in severities)
                for name in shown(wanted, "corruptions", "corruptions")
            },
            tuple(severities),
        )


@contextmanager
def _evaluating(network: nn.Module, device: torch.device) -> Iterator[None]:
    """The network on the device and in evaluation mode; afterwards in its own."""
    modes = [(module, module.training) for module in network.modules()]
    network.to(device).eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class _Measure:
    """The images, and which of them the victim gets right."""

    def __init__(self, victim: Victim, subset: Subset, batch_size: int, seed: int, device: torch.device) -> None:
        self.victim, self.normalisation, self.seed = victim, subset.normalisation, seed
        self.normalised = Batches(subset, batch_size, device=device)
        self.pixels = Batches(replace(subset, normalisation=None), batch_size, device=device)
        self.count = len(subset)
        self.right = [self._answers(x, y, "test images") for x, y in self.normalised.epoch()]
        self.clean = self._share(self.right)

    def attacked(self, attack: Attack, radii: tuple[float, ...]) -> Attacked:
        """Accuracy under an attack; every radius is attacked anew, or the smallest perturbations sought once."""
        settings = {f.name: getattr(attack, f.name) for f in fields(attack) if f.name != "epsilon"}
        if isinstance(attack, Minimal):
            return Attacked(attack.norm, radii, *self._smallest(attack, radii), settings)
        left = [
            [self._right(at(self.victim, x, y, draw), y) for x, y, draw in self._attackable(attack)]
            for at in (replace(attack, epsilon=epsilon) for epsilon in radii)
        ]
        return Attacked(attack.norm, radii, tuple(map(self._share, left)), settings=settings)

    def _smallest(self, attack: Minimal, radii: Sequence[float]) -> tuple[tuple[float, ...], float]:
        """Accuracy per radius, and the median size of the smallest perturbations."""
        sizes = []
        for x, y, draw in self._attackable(attack):
            found = attack.unbounded(self.victim, x, y, draw)
            size = self.victim.distance(found, x, attack.norm)
            sizes.append(torch.where(self._right(found, y) > 0, torch.inf, size))
        every = torch.cat(sizes).cpu().double()
        accuracies = tuple(int((every > radius).sum()) / self.count for radius in radii)
        return accuracies, float(every.median()) if len(every) else 0.0

    def corrupted(self, name: str, severity: int) -> float:
        """Accuracy on corrupted images."""
        right = []
        for number, (pixels, y) in enumerate(self.pixels.epoch()):
            x = corrupt(pixels, name, severity, generator(self.seed, "corruption", name, number))
            x = x if self.normalisation is None else self.normalisation(x)
            right.append(self._answers(x, y, f"images with {name} of severity {severity}"))
        return self._share(right)

    def _attackable(self, attack: Attack) -> Iterable[tuple[Tensor, Tensor, torch.Generator]]:
        """Images of which something is right. All radii use the same random numbers."""
        for number, (right, (x, y)) in enumerate(zip(self.right, self.normalised.epoch(), strict=True)):
            if bool((some := right > 0).any()):
                yield x[some], y[some], generator(self.seed, "attack", attack.label, number)

    @torch.no_grad()
    def _answers(self, x: Tensor, y: Tensor, kind: str) -> Tensor:
        """Which answers are right; refused where they are no numbers. ``kind``: of the images."""
        outputs = called(self.victim.network, x)
        if any_nan(outputs):
            raise ArchgradError(f"robustness: the network's outputs are NaN for {kind}, which is no answer")
        return self.victim.task.correct(outputs, y)

    def _right(self, x: Tensor, y: Tensor) -> Tensor:
        """Which answers survive an attack: outputs that have become NaN are wrong."""
        return self.victim.correct(x, y)

    def _share(self, right: list[Tensor]) -> float:
        return sum(float(hits.sum()) for hits in right) / self.count


def _some(subset: Subset, images: int | None, seed: int) -> Subset:
    """So many images of a subset, or all."""
    if images is None or images >= len(subset):
        return subset
    if images < 1:
        raise ArchgradError(f"robustness: the number of images must be at least 1, got {images}")
    return datasets.split(subset, images / len(subset), seed)[0]
