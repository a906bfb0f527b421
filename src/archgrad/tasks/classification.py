"""Classification: one class per input."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from archgrad.tasks.classes import Classes

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True, eq=False)
class Classification(Classes):
    """Each input is of one class: outputs `[batch, classes]`, targets integers `[batch]` from 0.

    `classes`: how many, or their names; None: as many as the largest label says. `class_weights`: one per class, of the
    cross-entropy. `label_smoothing` is for training; evaluations go without. Metrics: `accuracy`, and with more than
    five classes `top5`, the share of inputs whose class is among the five largest outputs.

    *Source:* label smoothing is Szegedy et al., arXiv 1512.00567, section 7.

    >>> Classification(["cat", "dog"]).outputs
    2
    """

    correctness = "accuracy"
    shares = ("accuracy", "top5")
    titles = MappingProxyType({"top5": "top-5"})

    def _names(self) -> dict[str, bool]:
        few = self.outputs is not None and self.outputs <= 5  # of which the five largest outputs are all
        return {"accuracy": True} if few else {"accuracy": True, "top5": True}

    def _metrics(self) -> dict[str, Metric]:
        from torchmetrics.classification import MulticlassAccuracy

        assert self.outputs is not None
        ranks = {"accuracy": 1, "top5": 5}
        return {
            name: MulticlassAccuracy(self.outputs, top_k=ranks[name], average="micro", validate_args=False)
            for name in self._names()
        }

    def _need(self, shape: list[int]) -> str:
        return f"has {self.outputs} classes"
