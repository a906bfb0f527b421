"""What a dataset is: a task, two subsets, the shape of their inputs, and the augmentation that suits them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from archgrad.data.augmentation import Augmentation, Normalisation
from archgrad.data.encoded import Encoded
from archgrad.data.items import Items
from archgrad.errors import ArchgradError, require_whole
from archgrad.nested import leaves, mapped
from archgrad.randomness import generator
from archgrad.tasks import Classification, Task

TEST_FRACTION = 0.2
SPLIT_SEED = 0  # of sets that come without a test part: one fixed split, so that test accuracies can be compared


@dataclass(frozen=True, eq=False)
class Subset:
    """Inputs with their targets.

    `inputs`: tensors `[n, …]` in memory, one or a tuple or dictionary of them, where `uint8` are pixels; or encoded
    images or examples that stream. `targets`: `[n, …]`; None where they come with the examples.
    """

    inputs: Any
    targets: Any = None
    normalisation: Normalisation | None = None

    def __len__(self) -> int:
        return len(self.inputs if self.streams else leaves(self.inputs)[0])

    @property
    def streams(self) -> bool:
        """Whether inputs are fetched batch by batch."""
        return isinstance(self.inputs, Encoded | Items)

    @property
    def strata(self) -> Int[Tensor, " n"] | None:
        """The classes of which parts of the subset keep the shares; None where inputs are of no class."""
        labels = self.inputs.listed if isinstance(self.inputs, Items) else self.targets
        if isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point():
            return labels.cpu()
        return None

    def take(self, indices: Int[Tensor, " m"]) -> Subset:
        """Some of the inputs, in the order of the indices."""

        def part(whole: Any) -> Any:
            return whole[indices]

        inputs = part(self.inputs) if self.streams else mapped(part, self.inputs)
        return replace(self, inputs=inputs, targets=None if self.targets is None else mapped(part, self.targets))

    def to(self, device: torch.device | str) -> Subset:
        """The same subset, as far as it is in memory, on a device."""

        def placed(whole: Tensor) -> Tensor:
            return whole.to(device)

        inputs = self.inputs if self.streams else mapped(placed, self.inputs)
        return replace(self, inputs=inputs, targets=None if self.targets is None else mapped(placed, self.targets))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A task, and the training and test inputs for it.

    `shape` is that of one input; for images `(channels, height, width)`; for inputs of several tensors it has their
    structure. `mean` and `std` are per channel for pixel values in [0, 1], and empty for inputs that are not
    normalised.
    """

    name: str
    task: Task
    shape: Any
    train: Subset = field(repr=False)
    test: Subset = field(repr=False)
    augmentation: Augmentation | None = None
    about: str = field(default="", repr=False)
    """What was understood of files, in words: classes, images of every part, what was left out."""

    @property
    def classes(self) -> int:
        """How many outputs a network needs."""
        if self.task.outputs is None:
            raise ArchgradError(f"{self.name}: give the task its number of outputs, which a space's networks need")
        return self.task.outputs

    @property
    def channels(self) -> int:
        """Channels of an input (its first axis)."""
        if not self._plain:
            raise ArchgradError(f"{self.name}: inputs are several tensors, which have no number of channels in common")
        return int(self.shape[0])

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of the images in pixels; None where the inputs are not images."""
        return (self.shape[1], self.shape[2]) if self._plain and len(self.shape) == 3 else None

    @property
    def _plain(self) -> bool:
        """Whether inputs are one tensor."""
        return isinstance(self.shape, tuple) and all(isinstance(size, int) for size in self.shape)

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
    """Two disjoint parts of a subset, the first with this fraction of it, drawn from the seed.

    Where inputs are of classes (targets are integers `[n]`), it has this fraction of every class, to one input. Both
    keep the order of the whole, and the sizes add up exactly: `round(fraction · n)` inputs and the rest.
    """
    if not 0 < fraction < 1:
        raise ArchgradError(f"split: fraction must lie between 0 and 1, got {fraction!r}")
    labels = subset.strata
    labels = torch.zeros(len(subset), dtype=torch.long) if labels is None else labels
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


def image_shape(subset: Subset) -> tuple[int, ...]:
    """Channels, height and width of images in memory, or of those that stream."""
    inputs = subset.inputs
    return (inputs.channels, inputs.height, inputs.width) if isinstance(inputs, Encoded) else tuple(inputs.shape[1:])


def standard_augmentation(shape: tuple[int, ...], flip: bool) -> Augmentation:
    """A crop of images padded by an eighth, and a flip."""
    return Augmentation(pad=round(shape[1] / 8), flip=flip)


def weighted(dataset: Dataset, class_weights: str | Sequence[float]) -> Dataset:
    """The dataset of a classification, with a weight of every class in its loss.

    `"balanced"` gives class k the weight n / (K · n_k), where K classes have n training inputs, n_k of them of class k,
    so that all classes count alike; a class without inputs has weight 1.

    *Source:* King and Zeng, Logistic Regression in Rare Events Data, Political Analysis 9, 2001; as in scikit-learn.
    """
    task = dataset.task
    labels = dataset.train.strata
    if not isinstance(task, Classification) or labels is None:
        raise ArchgradError(f"{dataset.name}: class weights are for classifications with known labels, not {task}")
    if class_weights == "balanced":
        counts = torch.bincount(labels, minlength=dataset.classes).double()
        balanced = counts.sum() / ((counts > 0).sum() * counts)
        class_weights = torch.where(counts > 0, balanced, 1.0).tolist()
    elif isinstance(class_weights, str):
        try:
            class_weights = [float(part) for part in class_weights.split(",")]
        except ValueError:
            raise ArchgradError(f"class_weights must be balanced, or numbers a,b,…, got {class_weights!r}") from None
    if not all(math.isfinite(weight) and weight >= 0 for weight in class_weights) or not sum(class_weights) > 0:
        raise ArchgradError(f"class_weights must be finite, not negative, and not all 0, got {list(class_weights)}")
    return replace(dataset, task=replace(task, class_weights=tuple(class_weights)))


def limited(subset: Subset, count: int, seed: int = SPLIT_SEED) -> Subset:
    """At most so many of the inputs, drawn from the seed, in the order of the whole.

    Where inputs are of classes, each gets the same number, to one input; a class that has fewer leaves its places to
    the others.
    """
    require_whole("data", 1, limit=count)
    if count >= len(subset):
        return subset
    order = torch.randperm(len(subset), generator=generator(seed, "limit"))
    labels = subset.strata
    if labels is not None:  # the first of every class, then the second of every class, …
        rank = torch.empty_like(order)
        for label in range(int(labels.max()) + 1):
            places = (labels[order] == label).nonzero()[:, 0]
            rank[places] = torch.arange(len(places))
        order = order[rank.argsort(stable=True)]
    return subset.take(order[:count].sort().values)


def normalised(train: Subset, test: Subset, known: Normalisation | None = None) -> tuple[Subset, Subset]:
    """Both parts with the known normalisation, or that of the training inputs."""
    normalisation = known or _statistics(train.inputs)
    return replace(train, normalisation=normalisation), replace(test, normalisation=normalisation)


def _statistics(inputs: Tensor | Encoded) -> Normalisation:
    """Mean and standard deviation of the pixels of each channel; where images stream, of a spread sample of them."""
    if not isinstance(inputs, Tensor):
        inputs = inputs.decode(torch.linspace(0, len(inputs) - 1, min(len(inputs), 2000)).long())
    if inputs.is_floating_point():
        wide = inputs.transpose(0, 1).flatten(1).double()
        return Normalisation(tuple(wide.mean(1).tolist()), tuple(s or 1.0 for s in wide.std(1, correction=0).tolist()))
    histogram = torch.stack([torch.bincount(inputs[:, c].flatten(), minlength=256) for c in range(inputs.shape[1])])
    weight = histogram.double() / histogram.sum(1, keepdim=True)
    value = torch.arange(256, dtype=torch.double) / 255
    mean = weight @ value
    std = ((weight @ value**2) - mean**2).clamp(min=0).sqrt()
    return Normalisation(tuple(mean.tolist()), tuple(s or 1.0 for s in std.tolist()))  # a constant channel stays 0


def shape_of(inputs: Any) -> Any:
    return mapped(lambda tensor: tuple(tensor.shape[1:]), inputs)


def shape_text(shape: Any) -> str:
    """Shapes as lists, as everywhere in messages."""
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{name}: {shape_text(part)}" for name, part in shape.items()) + "}"
    if all(isinstance(part, int) for part in shape):
        return str(list(shape))
    return "(" + ", ".join(map(shape_text, shape)) + ")"
