"""Multi-label classification: any number of labels per input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from archgrad.errors import ArchgradError
from archgrad.tasks.prediction import Prediction, by_name
from archgrad.tasks.task import Task, as_tensor, named, widened

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True, eq=False)
class MultiLabel(Task):
    """Each input has any number of labels: outputs and targets `[batch, labels]`, targets 0 or 1.

    `labels`: how many, or their names; None: as the targets say. The loss is binary cross-entropy, and a label is
    given where its output is above 0. Metrics: `f1`, the mean over labels of F₁; `accuracy`, the share of labels that
    are right; `exact_match`, the share of inputs with no wrong label.

    >>> MultiLabel(3).answer(torch.tensor([[-1.0, 0.5, 2.0]]))
    tensor([[False,  True,  True]])
    """

    labels: int | Sequence[str] | None = None

    correctness = "exact_match"
    shares = ("f1", "accuracy", "exact_match")
    titles = MappingProxyType({"f1": "F₁"})

    def __post_init__(self) -> None:
        if self.labels is not None:
            names = named(self.labels, f"{self}: labels")
            self._set(labels=names, outputs=len(names))
        super().__post_init__()

    def _mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(outputs, targets)

    def _sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        loss = F.binary_cross_entropy_with_logits(outputs, targets, reduction="sum")
        return loss, torch.full_like(loss, targets.numel())

    def _names(self) -> dict[str, bool]:
        return {"f1": True, "accuracy": True, "exact_match": True}

    def _metrics(self) -> dict[str, Metric]:
        from torchmetrics.classification import MultilabelAccuracy, MultilabelExactMatch, MultilabelF1Score

        assert self.outputs is not None
        return {
            "f1": MultilabelF1Score(self.outputs, validate_args=False),
            "accuracy": MultilabelAccuracy(self.outputs, average="micro", validate_args=False),
            "exact_match": MultilabelExactMatch(self.outputs, validate_args=False),
        }

    def measured(self, name: str, outputs: Any, targets: Any) -> tuple[Any, Any]:
        """Probabilities: torchmetrics would take logits that all happen to lie in [0, 1] for such."""
        return widened(outputs).sigmoid(), targets.long()

    def answer(self, outputs: Tensor) -> Tensor:
        """Which labels are given."""
        return outputs > 0

    def predictions(self, outputs: Tensor) -> list[Prediction]:
        """The names of all labels that are given to each input, and the probability of every label."""
        assert self.labels is not None
        assert not isinstance(self.labels, int)
        names, found = tuple(self.labels), []
        for probabilities in widened(outputs).detach().sigmoid().cpu():
            shares = by_name(names, probabilities)
            given = tuple(name for name, share in shares.items() if share > 0.5)
            found.append(Prediction(given, ", ".join(given) or "none", shares))
        return found

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """`[batch]`: whether all labels are right."""
        return (self.answer(outputs) == targets.bool()).all(1)

    def sized(self, targets: Any, where: str) -> Self:
        """The same task; where the labels were not given, there are as many as the targets have columns."""
        return self if self.labels is not None else replace(self, labels=self.targets(targets, where).shape[1])

    def targets(self, values: Any, where: str) -> Tensor:
        """Zeros and ones `[n, labels]`, in floating point."""
        y = as_tensor(values, where)
        columns = "labels" if self.outputs is None else self.outputs
        if y.ndim != 2 or self.outputs not in (None, y.shape[1]):
            raise ArchgradError(f"{where}: must be zeros and ones of shape [n, {columns}], got shape {list(y.shape)}")
        if not ((y == 0) | (y == 1)).all():
            raise ArchgradError(f"{where}: must be zeros and ones, got {float(y[(y != 0) & (y != 1)][0]):g}")
        return y.to(torch.get_default_dtype())

    def _expected(self, targets: Tensor) -> tuple[int, ...]:
        return tuple(targets.shape)

    def _need(self, shape: list[int]) -> str:
        return f"has {self.outputs} labels"
