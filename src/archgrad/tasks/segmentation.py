"""Segmentation: one class per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from archgrad.tasks.classes import Classes
from archgrad.tasks.prediction import Prediction, by_name

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True, eq=False)
class Segmentation(Classes):
    """Each pixel is of one class: outputs `[batch, classes, height, width]`, targets `[batch, height, width]`.

    `ignored`: the label of pixels that do not count; None: all do. The others as `Classification`. Metrics: `mean_iou`,
    the mean over classes of intersection over union in the whole data set, classes left out that neither occur nor are
    answered; `accuracy`, the share of pixels that are right.

    *Source:* the Pascal VOC segmentation measure and its label 255, Everingham et al., doi 10.1007/s11263-014-0733-5.

    >>> Segmentation(21).outputs
    21
    """

    ignored: int | None = 255

    correctness = "accuracy"
    shares = ("mean_iou", "accuracy")
    titles = MappingProxyType({"mean_iou": "mean IoU"})

    @property
    def _ignored(self) -> int | None:
        return self.ignored

    def _names(self) -> dict[str, bool]:
        return {"mean_iou": True, "accuracy": True}

    def _metrics(self) -> dict[str, Metric]:
        from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

        assert self.outputs is not None
        return {
            "mean_iou": MulticlassJaccardIndex(self.outputs, ignore_index=self._ignored, validate_args=False),
            "accuracy": MulticlassAccuracy(
                self.outputs, average="micro", ignore_index=self._ignored, validate_args=False
            ),
        }

    def predictions(self, outputs: Tensor) -> list[Prediction]:
        """`[height, width]` class numbers of each input; in words, the share of the pixels that each class has."""
        found = []
        for mask in self.answer(outputs).cpu():
            counts = torch.bincount(mask.flatten(), minlength=len(self.class_names))
            shares = {name: share for name, share in by_name(self.class_names, counts / mask.numel()).items() if share}
            found.append(Prediction(mask, ", ".join(f"{name} {share:.1%}" for name, share in shares.items())))
        return found

    def _axes(self) -> Sequence[int]:
        return (3,)

    def _need(self, shape: list[int]) -> str:
        return f"has {self.outputs} classes and masks of {shape[-2]}×{shape[-1]} pixels"
