"""Regression: numbers per input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from archgrad.errors import ArchgradError
from archgrad.tasks.task import Task, as_tensor

if TYPE_CHECKING:
    from torchmetrics import Metric


@dataclass(frozen=True, eq=False)
class Regression(Task):
    """Numbers per input: outputs and targets `[batch, outputs, …]`; targets `[batch]` count as `[batch, 1]`.

    The loss is the squared error, or another one with `loss=`. Metrics: `rmse`, the root of the mean squared error over
    all numbers; `mae`, the mean absolute error.

    >>> Regression().targets([1, 2], "y")
    tensor([[1.],
            [2.]])
    """

    titles = MappingProxyType({"rmse": "RMSE", "mae": "MAE"})

    def _mean(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, targets)

    def _sums(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        loss = F.mse_loss(outputs, targets, reduction="sum")
        return loss, torch.full_like(loss, targets.numel())

    def _names(self) -> dict[str, bool]:
        return {"rmse": False, "mae": False}

    def _metrics(self) -> dict[str, Metric]:
        from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

        return {"rmse": MeanSquaredError(squared=False), "mae": MeanAbsoluteError()}

    def sized(self, targets: Any, where: str) -> Self:
        """The same task; where the outputs were not given, there are as many as the targets have columns."""
        return self if self.outputs is not None else replace(self, outputs=self.targets(targets, where).shape[1])

    def targets(self, values: Any, where: str) -> Tensor:
        """Finite numbers `[n, outputs, …]`, in floating point."""
        y = as_tensor(values, where)
        if y.ndim == 0 or y.is_complex():
            raise ArchgradError(f"{where}: must be numbers of shape [n] or [n, outputs], got {y.dtype} {list(y.shape)}")
        y = y.to(torch.get_default_dtype())
        y = y[:, None] if y.ndim == 1 else y
        if self.outputs not in (None, y.shape[1]):
            raise ArchgradError(f"{where}: must have {self.outputs} numbers per input, got shape {list(y.shape)}")
        if not y.isfinite().all():
            raise ArchgradError(f"{where}: holds values that are not finite")
        return y

    def _expected(self, targets: Tensor) -> tuple[int, ...]:
        return tuple(targets.shape)

    def _need(self, shape: list[int]) -> str:
        return f"has targets of shape {shape}"
