"""What a dataset is: a task, two subsets, the shape of their inputs, and the augmentation that suits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from archgrad.data.augmentation import Augmentation, Normalisation
from archgrad.data.encoded import Encoded
from archgrad.data.items import Items
from archgrad.errors import ArchgradError
from archgrad.nested import leaves, mapped
from archgrad.randomness import generator
from archgrad.tasks import Classification, Task
from archgrad.tasks.task import as_tensor

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


def from_tensors(
    x: Any,
    y: Any,
    test_x: Any = None,
    test_y: Any = None,
    *,
    task: Task | None = None,
    classes: int | Sequence[str] | None = None,
    augmentation: Augmentation | None = None,
    name: str = "tensors",
) -> Dataset:
    """A dataset of a user's own tensors or arrays: inputs `[n, …]` and the targets of a task.

    `x`: one tensor, or a tuple or dictionary of them, which the network takes as several arguments or by name. `uint8`
    are pixels, scaled to [0, 1]; images `[n, channels, height, width]` of them are also normalised with the training
    set's mean and deviation. Other numbers, such as floats and tokens, are given to the network as they are. Only
    images can have an augmentation, and have none unless given.

    `task`: classification unless given, with as many classes as the labels say; `classes` gives their number or names.
    Without test tensors a fixed fifth of the training set is held out, stratified where the task has classes.

    Raises ArchgradError for lengths that differ, targets that do not fit the task, or inputs not finite.
    """
    if task is not None and classes is not None:
        raise ArchgradError(f"{name}: give either a task or the classes of a classification, not both")
    if (test_x is None) != (test_y is None):
        raise ArchgradError(f"{name}: give both test_x and test_y, or neither")
    inputs = _inputs(x, f"{name}: x")
    task = (task or Classification(classes)).sized(y, f"{name}: y")
    train = _subset(inputs, task.targets(y, f"{name}: y"), name, "train")
    shape = _shape(train.inputs)
    if test_x is None:
        test, train = split(train, TEST_FRACTION, SPLIT_SEED)
    else:
        test_y = task.targets(test_y, f"{name}: test_y")
        test = _subset(_inputs(test_x, f"{name}: test_x"), test_y, name, "test")
        if (found := _shape(test.inputs)) != shape:
            raise ArchgradError(f"{name}: test_x has inputs of shape {shape_text(found)}, x of {shape_text(shape)}")
    image = isinstance(train.inputs, Tensor) and train.inputs.ndim == 4
    if augmentation is not None and not image:
        raise ArchgradError(f"{name}: only images [n, channels, height, width] can be augmented")
    if image and train.inputs.dtype == torch.uint8:
        train, test = normalised(train, test)
    return Dataset(name, task, shape, train, test, augmentation)


def from_dataset(train: Any, test: Any = None, *, task: Task | None = None, name: str | None = None) -> Dataset:
    """A dataset whose examples come from map-style `torch.utils.data.Dataset`s, fetched by workers as they are needed.

    An item is a pair of an input and a target, which torch's `default_collate` stacks; inputs as in `from_tensors`,
    without normalisation. `task`: classification unless given; give its number of classes where the dataset does not
    list its labels in `targets`. Without a test dataset a fixed fifth is held out, stratified where it lists them.

    Augmentation is the dataset's own. What an item draws from the global generators of torch (of the CPU), numpy and
    `random` follows from seed, epoch and item alone, and not from workers, processes, or where a run was resumed.
    Generators that the dataset keeps for itself are not seeded. A held-out part has the transforms of the whole.

    Raises ArchgradError for items that are no pairs, do not make a batch, or do not fit the task.
    """
    name = name or type(train).__name__
    items = Items.of(train, task or Classification(), name)
    x, y = items.first()
    seen = items.listed if items.listed is not None else y if items.task.sized_by_few else None
    task = items.task if seen is None else items.task.sized(seen, f"{name}: targets")
    if seen is None and task.outputs is None and task.loss is None:
        raise ArchgradError(f"{name}: give the task its number of classes, as {task}(10)")
    whole = Subset(replace(items, task=task))
    if test is None:
        held_out, whole = split(whole, TEST_FRACTION, SPLIT_SEED)
    else:
        held_out = Subset(Items.of(test, task, f"{name}: test"))
    return Dataset(name, task, _shape(x), whole, held_out)


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


def _shape(inputs: Any) -> Any:
    return mapped(lambda tensor: tuple(tensor.shape[1:]), inputs)


def shape_text(shape: Any) -> str:
    """Shapes as lists, as everywhere in messages."""
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{name}: {shape_text(part)}" for name, part in shape.items()) + "}"
    if all(isinstance(part, int) for part in shape):
        return str(list(shape))
    return "(" + ", ".join(map(shape_text, shape)) + ")"


def _inputs(values: Any, where: str, axes: int = 2) -> Any:
    if isinstance(values, dict):
        return {name: _inputs(part, f"{where}[{name!r}]", 1) for name, part in values.items()}
    if isinstance(values, tuple):
        return tuple(_inputs(part, f"{where}[{number}]", 1) for number, part in enumerate(values))
    x = as_tensor(values if isinstance(values, Tensor) else np.asarray(values), where)
    if x.ndim < axes:
        raise ArchgradError(f"{where}: needs at least two axes [n, …], got shape {list(x.shape)}")
    if not len(x):
        raise ArchgradError(f"{where}: holds no inputs")
    if x.is_complex():
        raise ArchgradError(f"{where}: must be real numbers, got {x.dtype}")
    if x.is_floating_point() and not x.isfinite().all():
        raise ArchgradError(f"{where}: holds values that are not finite")
    return x


def _subset(x: Any, y: Any, name: str, part: str) -> Subset:
    count = len(leaves(y)[0])
    for tensor in leaves(x):
        if len(tensor) != count:
            raise ArchgradError(f"{name}: {len(tensor)} {part} inputs but {count} targets")
    return Subset(x, y)
