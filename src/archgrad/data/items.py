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

from archgrad.errors import ArchgradError
from archgrad.nested import mapped
from archgrad.tasks import Task

Drawn = tuple[int, int]
"""The place of an example and its seed."""


@dataclass(frozen=True, eq=False)
class Items:
    """Examples `(input, target)` of a `torch.utils.data.Dataset`, or of any sequence, and those that are meant."""

    dataset: Dataset[Any]
    numbers: Int[Tensor, " n"]
    task: Task
    name: str

    @classmethod
    def of(cls, dataset: Any, task: Task, name: str) -> Items:
        """All examples of a dataset."""
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise ArchgradError(
                f"{name}: needs a dataset with a length and numbered items, got {type(dataset).__name__}"
            )
        if not len(dataset):
            raise ArchgradError(f"{name}: the dataset is empty")
        return cls(dataset, torch.arange(len(dataset)), task, name)

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, indices: Int[Tensor, " m"]) -> Items:
        return replace(self, numbers=self.numbers[indices.cpu()])

    @cached_property
    def listed(self) -> Int[Tensor, " n"] | None:
        """The classes of all examples, where the dataset lists them in `targets` as torchvision's do."""
        try:
            found = torch.as_tensor(self.dataset.targets)  # type: ignore[attr-defined]
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return None
        whole = found.ndim == 1 and len(found) == len(self.dataset) and not found.is_floating_point()  # type: ignore[arg-type]
        return found.long()[self.numbers] if whole and int(found.min()) >= 0 else None

    def __getitems__(self, drawn: Sequence[Drawn]) -> list[Any]:
        """Examples for a DataLoader's worker; at least one, from which an empty batch has its shapes."""
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
        """Inputs and targets of a batch."""
        empty = items[-1] is None
        try:
            x, y = (mapped(_tensor, part) for part in default_collate(items[:1] if empty else items))
        except (TypeError, RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ArchgradError(f"{self.name}: items do not make a batch ({reason})") from None
        y = self.task.targets(y, f"{self.name}: targets")
        return mapped(lambda part: part[:0], (x, y)) if empty else (x, y)

    def first(self) -> tuple[Any, Any]:
        """A batch of the first example."""
        return self.stack(self.__getitems__([(0, 0)]))


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
