"""Tasks: what a network is trained for, how its answers are judged, and what data that needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from archgrad.errors import ArchgradError
from archgrad.reading import Reading
from archgrad.tasks.classification import Classification
from archgrad.tasks.multi_label import MultiLabel
from archgrad.tasks.next_token import NextToken
from archgrad.tasks.prediction import Prediction
from archgrad.tasks.regression import Regression
from archgrad.tasks.segmentation import Segmentation
from archgrad.tasks.task import Task, widened

PUBLISHED: dict[str, type[Task]] = {
    kind.__name__: kind for kind in (Classification, MultiLabel, NextToken, Regression, Segmentation)
}


def recorded(record: Mapping[str, Any]) -> Task:
    """The task that `Task.record` wrote, with the loss and the metrics that its kind has.

    A task of a user's own comes back with its number of outputs and no loss. Raises ArchgradError for other records.
    """
    fields = {name: value for name, value in record.items() if name != "kind"}
    kind = PUBLISHED.get(str(record.get("kind")))
    try:
        return kind(**fields) if kind else Task(loss=_no_loss, outputs=fields.get("outputs"))
    except TypeError as error:
        raise ArchgradError(f"the record of a task is damaged: {error}") from None


def _no_loss(outputs: Any, targets: Any) -> Tensor:
    raise ArchgradError("this task is a user's own: its loss was not recorded with the network")


__all__ = [
    "Classification",
    "MultiLabel",
    "NextToken",
    "Prediction",
    "Reading",
    "Regression",
    "Segmentation",
    "Task",
    "recorded",
    "widened",
]
