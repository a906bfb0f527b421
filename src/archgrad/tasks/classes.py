"""What tasks with classes have in common: cross-entropy over all places that count, and labels that are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from archgrad.errors import ArchgradError, require_number
from archgrad.tasks.prediction import Prediction, by_name
from archgrad.tasks.task import Task, as_tensor, named, widened

NONE = -100  # what `cross_entropy` ignores unless told otherwise


@dataclass(frozen=True, eq=False)
class Classes(Task):
    """One of several classes, once per input or at every place of it; classes are axis 1 of the outputs."""

    classes: int | Sequence[str] | None = None
    class_weights: Sequence[float] | None = None
    label_smoothing: float = 0.0

    sized_by_few = False

    def __post_init__(self) -> None:
        require_number(str(self), label_smoothing=self.label_smoothing)
        if not 0 <= self.label_smoothing < 1:
            raise ArchgradError(f"{self}: label_smoothing must lie in [0, 1), got {self.label_smoothing!r}")
        if self.classes is not None:
            names = named(self.classes, f"{self}: classes")
            if self.class_weights is not None and len(self.class_weights) != len(names):
                raise ArchgradError(f"{self}: {len(self.class_weights)} class weights for {len(names)} classes")
            self._set(classes=names, outputs=len(names))
        super().__post_init__()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes' names, or their numbers."""
        return () if self.classes is None else tuple(self.classes)  # type: ignore[arg-type]  # names since it was made

    @property
    def _ignored(self) -> int | None:
        """The label of places that do not count; None where all do."""
        return None

    def _weight(self, outputs: Tensor) -> Tensor | None:
        return None if self.class_weights is None else outputs.new_tensor(self.class_weights)

    def _mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(
            outputs,
            targets,
            self._weight(outputs),
            ignore_index=NONE if self._ignored is None else self._ignored,
            label_smoothing=self.label_smoothing,
        )

    def _sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Without label smoothing, which is a means of training and would hide how good the network is."""
        weight = self._weight(outputs)
        ignored = NONE if self._ignored is None else self._ignored
        loss = F.cross_entropy(outputs, targets, weight, ignore_index=ignored, reduction="sum")
        counted = self._counted(targets)
        return loss, (counted.sum() if weight is None else weight[targets[counted]].sum()).to(loss.dtype)

    def _counted(self, targets: Tensor) -> Tensor:
        return torch.ones_like(targets, dtype=torch.bool) if self._ignored is None else targets != self._ignored

    def answer(self, outputs: Tensor) -> Tensor:
        """The class with the largest output."""
        return outputs.argmax(1)

    def predictions(self, outputs: Tensor) -> list[Prediction]:
        """The name of the likeliest class of each input, and the probability of every class."""
        found = widened(outputs).detach().softmax(1).cpu()
        names = [by_name(self.class_names, probabilities) for probabilities in found]
        return [Prediction(best := next(iter(shares)), best, shares) for shares in names]

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """`[batch]`: whether the class is right; with several places per input, the share of those that count."""
        right = self.answer(outputs) == targets
        if targets.ndim == 1:
            return right
        right, counted = right.flatten(1), self._counted(targets).flatten(1)
        return torch.where(counted.any(1), (right & counted).sum(1) / counted.sum(1).clamp(min=1), 1.0)

    def sized(self, targets: Any, where: str) -> Self:
        """The same task; where the classes were not given, there are as many as the largest label says."""
        if self.classes is not None:
            return self
        labels = self.targets(targets, where)
        counted = labels[self._counted(labels)]
        if not len(counted):
            raise ArchgradError(f"{where}: no label that tells the number of classes")
        return replace(self, classes=int(counted.max()) + 1)

    def targets(self, values: Any, where: str) -> Tensor:
        """Integers, as many axes as the task wants, each from 0 to below the number of classes."""
        y = as_tensor(values, where)
        if y.is_floating_point() or y.is_complex() or y.ndim not in self._axes():
            wanted = " or ".join(f"[n{', …' * (axes - 1)}]" for axes in self._axes())
            raise ArchgradError(f"{where}: must be integers of shape {wanted}, got {y.dtype} of shape {list(y.shape)}")
        y = y.long()
        counted = y[self._counted(y)]
        if len(counted):
            low, high = int(counted.min()), int(counted.max())
            if low < 0 or (self.outputs is not None and high >= self.outputs):
                limit = "be 0 or more" if self.outputs is None else f"lie in 0 … {self.outputs - 1}"
                raise ArchgradError(f"{where}: labels must {limit}, got {low if low < 0 else high}")
        return y

    def _axes(self) -> Sequence[int]:
        """How many axes targets may have."""
        return (1,)

    def _expected(self, targets: Tensor) -> tuple[int, ...] | None:
        return None if self.outputs is None else (len(targets), self.outputs, *targets.shape[1:])

    def with_label_smoothing(self, amount: float) -> Self:
        """The same task with so much of every label spread over all classes; 0 changes nothing."""
        return replace(self, label_smoothing=amount) if amount else self
