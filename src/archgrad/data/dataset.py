"""What a dataset is: two labelled subsets, the shape of their inputs, and the augmentation that suits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from archgrad.data.augmentation import Augmentation, Normalisation
from archgrad.data.encoded import Encoded
from archgrad.errors import ArchgradError
from archgrad.randomness import generator

TEST_FRACTION = 0.2
SPLIT_SEED = 0  # of sets that come without a test part: one fixed split, so that test accuracies can be compared


@dataclass(frozen=True, eq=False)
class Subset:
    """Labelled inputs: a tensor in memory (`uint8` images, or floats of any shape), or encoded images that stream."""

    inputs: Shaped[Tensor, "n ..."] | Encoded
    labels: Int[Tensor, n]
    normalisation: Normalisation | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Int[Tensor, m]) -> Subset:
        """Some of the inputs, in the order of the indices."""
        return replace(self, inputs=self.inputs[indices], labels=self.labels[indices])

    def to(self, device: torch.device | str) -> Subset:
        """The same subset with its labels, and its inputs where they are in memory, on a device."""
        inputs = self.inputs.to(device) if isinstance(self.inputs, Tensor) else self.inputs
        return replace(self, inputs=inputs, labels=self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A classification task: training and test inputs with labels 0 … classes − 1.

    `shape` is that of one input; for images `(channels, height, width)`. `mean` and `std` are per channel for pixel
    values in [0, 1], and empty for inputs that are not normalised.
    """

    name: str
    class_names: tuple[str, ...]
    shape: tuple[int, ...]
    train: Subset = field(repr=False)
    test: Subset = field(repr=False)
    augmentation: Augmentation | None = None

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """Channels of an input (its first axis)."""
        return self.shape[0]

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images in pixels; None where the inputs are not images."""
        return (self.shape[1], self.shape[2]) if len(self.shape) == 3 else None

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean pixel value per channel, empty where inputs are not normalised."""
        return self.train.normalisation.mean if self.train.normalisation else ()

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of pixel values per channel, empty where inputs are not normalised."""
        return self.train.normalisation.std if self.train.normalisation else ()

    def subset(self, name: str) -> Subset:
        """The training or the test part by name."""
        if name not in ("train", "test"):
            raise ArchgradError(f"{self.name}: a split is 'train' or 'test', got {name!r}")
        return self.train if name == "train" else self.test


def split(subset: Subset, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Two disjoint parts of a subset, the first with this fraction of every class (to one input), drawn from the seed.

    Both keep the order of the whole, and the sizes add up exactly: `round(fraction · n)` inputs and the rest.
    """
    if not 0 < fraction < 1:
        raise ArchgradError(f"split: fraction must lie between 0 and 1, got {fraction!r}")
    labels = subset.labels.cpu()
    counts = torch.bincount(labels)
    exact = counts.double() * fraction
    quota = exact.floor().long()
    missing = round(fraction * len(labels)) - int(quota.sum())
    largest_remainders = (exact - quota).argsort(descending=True, stable=True)
    quota[largest_remainders[:missing]] += 1
    # Rank every input within its class in random order, and take the first `quota` of each class.
    order = torch.randperm(len(labels), generator=generator(seed, "split"))
    order = order[labels[order].argsort(stable=True)]
    starts = counts.cumsum(0) - counts
    rank = torch.arange(len(labels)) - starts[labels[order]]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[order[rank < quota[labels[order]]]] = True
    first, second = subset.take(chosen.nonzero()[:, 0]), subset.take((~chosen).nonzero()[:, 0])
    if not (len(first) and len(second)):
        raise ArchgradError(f"split: {fraction} of {len(labels)} inputs leaves one part empty")
    return first, second


def from_tensors(
    x_train: Any,
    y_train: Any,
    x_test: Any = None,
    y_test: Any = None,
    *,
    classes: int | Sequence[str] | None = None,
    augmentation: Augmentation | None = None,
    name: str = "tensors",
) -> Dataset:
    """A dataset of a user's own tensors or arrays, of any shape `[n, …]`, with integer labels `[n]` from 0.

    `uint8` images `[n, channels, height, width]` are scaled to [0, 1] and normalised with the training set's mean and
    deviation; floats are given to the network as they are. Only images can have an augmentation, and have none unless
    given. Without test tensors a fixed stratified fifth of the training set is held out.

    Raises ArchgradError for lengths that differ, labels that are no integers or out of range, or inputs not finite.
    """
    x_train, y_train = _inputs(x_train, f"{name}: x_train"), _labels(y_train, f"{name}: y_train")
    if (x_test is None) != (y_test is None):
        raise ArchgradError(f"{name}: give both x_test and y_test, or neither")
    if x_test is None:
        test, train = split(_subset(x_train, y_train, name, "train"), TEST_FRACTION, SPLIT_SEED)
    else:
        train = _subset(x_train, y_train, name, "train")
        test = _subset(_inputs(x_test, f"{name}: x_test"), _labels(y_test, f"{name}: y_test"), name, "test")
        shape, expected = list(np.shape(x_test)[1:]), list(x_train.shape[1:])
        if shape != expected:
            raise ArchgradError(f"{name}: x_test has inputs of shape {shape}, x_train of {expected}")
    names = class_names(classes, train.labels)
    for part, labels in (("y_train", train.labels), ("y_test", test.labels)):
        require_labels(labels, len(names), f"{name}: {part}")
    image = x_train.ndim == 4
    if augmentation is not None and not image:
        raise ArchgradError(
            f"{name}: only images [n, channels, height, width] can be augmented, got {x_train.ndim} axes"
        )
    if image and x_train.dtype == torch.uint8:
        train, test = normalised(train, test)
    return Dataset(name, names, tuple(x_train.shape[1:]), train, test, augmentation)


def class_names(classes: int | Sequence[str] | None, labels: Tensor) -> tuple[str, ...]:
    """Names of the classes: given, or numbers up to the given count or the largest label."""
    if classes is None:
        classes = int(labels.max()) + 1
    return tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)


def require_labels(labels: Tensor, classes: int, where: str) -> None:
    """Refuse labels outside 0 … classes − 1."""
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ArchgradError(f"{where}: labels must lie in 0 … {classes - 1}, got {low if low < 0 else high}")


def normalised(train: Subset, test: Subset, known: Normalisation | None = None) -> tuple[Subset, Subset]:
    """Both parts with the known normalisation, or that of the training inputs."""
    normalisation = known or _statistics(train.inputs)
    return replace(train, normalisation=normalisation), replace(test, normalisation=normalisation)


def _statistics(inputs: Tensor | Encoded) -> Normalisation:
    """Mean and standard deviation of the pixels of each channel; where images stream, of a spread sample of them."""
    if not isinstance(inputs, Tensor):
        inputs = inputs.decode(torch.linspace(0, len(inputs) - 1, min(len(inputs), 2000)).long())
    histogram = torch.stack([torch.bincount(inputs[:, c].flatten(), minlength=256) for c in range(inputs.shape[1])])
    weight = histogram.double() / histogram.sum(1, keepdim=True)
    value = torch.arange(256, dtype=torch.double) / 255
    mean = weight @ value
    std = ((weight @ value**2) - mean**2).clamp(min=0).sqrt()
    return Normalisation(tuple(mean.tolist()), tuple(s or 1.0 for s in std.tolist()))  # a constant channel stays 0


def _tensor(values: Any) -> Tensor:
    return values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))


def _inputs(values: Any, where: str) -> Tensor:
    x = _tensor(values)
    if x.ndim < 2:
        raise ArchgradError(f"{where}: needs at least two axes [n, …], got shape {list(x.shape)}")
    if x.dtype != torch.uint8 and not x.is_floating_point():
        raise ArchgradError(f"{where}: must be uint8 or floating point, got {x.dtype}")
    if x.is_floating_point() and not x.isfinite().all():
        raise ArchgradError(f"{where}: holds values that are not finite")
    return x


def _labels(values: Any, where: str) -> Tensor:
    y = _tensor(values)
    if y.ndim != 1 or y.is_floating_point() or y.is_complex():
        raise ArchgradError(f"{where}: must be integers of shape [n], got {y.dtype} of shape {list(y.shape)}")
    return y.long()


def _subset(x: Tensor, y: Tensor, name: str, part: str) -> Subset:
    if len(x) != len(y):
        raise ArchgradError(f"{name}: {len(x)} {part} inputs but {len(y)} labels")
    if not len(x):
        raise ArchgradError(f"{name}: the {part} part is empty")
    return Subset(x, y)
