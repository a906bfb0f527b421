"""The examples of any map-style dataset, fetched by workers, with random numbers that follow from seed and epoch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from archgrad.data.labels import Labelling
from archgrad.errors import ArchgradError
from archgrad.nested import mapped
from archgrad.tasks import Classification, Task

Drawn = tuple[int, int]
"""The place of an example and its seed."""


@dataclass(frozen=True, eq=False)
class Items:
    """Examples `(input, target)` of a `torch.utils.data.Dataset`, or of any sequence, and those that are meant.

    `labelling`: the classes of the labels that the dataset lists; None where it lists none, or the task has none.
    """

    dataset: Dataset[Any]
    numbers: Int[Tensor, " n"]
    task: Task
    name: str
    labelling: Labelling | None = None

    @classmethod
    def of(cls, dataset: Any, task: Task, name: str) -> Items:
        """All examples of a dataset."""
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise ArchgradError(
                f"{name}: needs a dataset with a length and numbered items, got {type(dataset).__name__}"
            )
        if not len(dataset):
            raise ArchgradError(f"{name}: the dataset is empty")
        labelling, targets = None, _targets(dataset)
        if isinstance(task, Classification) and targets is not None:
            names = task.class_names or getattr(dataset, "classes", None)
            declared = names if names and all(isinstance(one, str) for one in names) else None
            labelling = Labelling.of(targets, f"{name}: targets", declared)
        return cls(dataset, torch.arange(len(dataset)), task, name, labelling)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, indices: Int[Tensor, " m"]) -> Items:
        return replace(self, numbers=self.numbers[indices.cpu()])

    @cached_property
    def listed(self) -> Int[Tensor, " n"] | None:
        """The classes of all examples, where the dataset lists them in `targets` as torchvision's do."""
        if self.labelling is None:
            return None
        return self.labelling.numbers(_targets(self.dataset), f"{self.name}: targets")[self.numbers]

    @property
    def fetcher(self) -> Fetcher:
        """What fetches them, in workers too."""
        return Fetcher(self.dataset, self.numbers, self.name)

    def batch(self, fetched: tuple[Any, Any]) -> tuple[Any, Any]:
        """Inputs and targets as the network and the task take them."""
        x, y = fetched
        where = f"{self.name}: targets"
        y = self.task.targets(mapped(_tensor, y), where) if self.labelling is None else self.labelling.numbers(y, where)
        return mapped(_default, x), y

    def sized(self, y: Any) -> Task:
        """The task with its number of outputs, as far as the labels or the targets of an example tell it."""
        if self.labelling is not None:
            return replace(self.task, classes=self.labelling.names)  # type: ignore[call-arg]  # a classification
        return self.task.sized(y, f"{self.name}: targets") if self.task.sized_by_few else self.task

    def first(self) -> tuple[Any, Any]:
        """A batch of the first example."""
        return self.batch(self.fetcher.stack(self.fetcher.__getitems__([(0, 0)])))


@dataclass(frozen=True, eq=False)
class Fetcher:
    """Fetches examples in a DataLoader's workers, to which it is sent: it knows no task, which may not travel."""

    dataset: Dataset[Any]
    numbers: Int[Tensor, " n"]
    name: str

    def __getitems__(self, drawn: Sequence[Drawn]) -> list[Any]:
        """Examples for a batch; at least one, from which an empty batch has its shapes."""
        return [self._item(*one) for one in drawn] or [self._item(0, 0), None]

    def _item(self, place: int, seed: int) -> Any:
        number = int(self.numbers[place])
        with _seeded(seed):
            item = self.dataset[number]
        if not (isinstance(item, tuple | list) and len(item) == 2):
            raise ArchgradError(
                f"{self.name}: item {number} must be a pair of an input and a target, got {type(item).__name__}"
            )
        return tuple(item)

    def stack(self, items: list[Any]) -> tuple[Any, Any]:
        """Inputs and targets of a batch; targets that are text stay a list."""
        empty = items[-1] is None
        try:
            x, y = default_collate(items[:1] if empty else items)
            x = mapped(_tensor, x)
            names = isinstance(y, list | tuple) and all(isinstance(one, str) for one in y)
            y = list(y) if names else mapped(_tensor, y)
        except (TypeError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ArchgradError(f"{self.name}: items do not make a batch ({reason})") from None
        if not empty:
            return x, y
        return mapped(lambda part: part[:0], x), [] if isinstance(y, list) else mapped(lambda part: part[:0], y)


def _targets(dataset: Any) -> Any:
    """What a dataset lists in `targets`, where it is one whole number or name for every example."""
    found = getattr(dataset, "targets", None)
    if not isinstance(found, list | tuple | np.ndarray | Tensor) or len(found) != len(dataset):
        return None
    array = np.asarray(found)
    return array if array.ndim == 1 and array.dtype.kind in "iubU" else None


def _default(part: Tensor) -> Tensor:
    return part.to(torch.get_default_dtype()) if part.is_floating_point() else part


def _tensor(part: Any) -> Tensor:
    if not isinstance(part, Tensor):
        raise TypeError(f"{type(part).__name__} is no tensor, array or number")
    return part


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed what augmentations draw from, and give all of it back."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(seed)  # the CPU's alone: devices are for the network
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
