"""The command ``archgrad evaluate``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from archgrad import comparison, console, evaluation
from archgrad.cli import own
from archgrad.data import Batches, Dataset
from archgrad.distributed import World
from archgrad.errors import require_whole
from archgrad.model import Model
from archgrad.nested import called
from archgrad.tasks import Classification, Prediction, Task

TOGETHER = 256
"""How many inputs the network is asked about at once."""


def evaluate(
    run: str,
    *,
    data: str | None = None,
    image_size: int | None = None,
    split: str = "test",
    show: int = 0,
    space: str | None = None,
    device: str | None = None,
    progress: bool = True,
) -> None:
    """Evaluate a trained network.

    Args:
        run: run directory of a training, or of a search whose found network has been trained
        data: a dataset; that of the training by default
        image_size: bring the images to this many pixels first; as in the training by default
        split: test or train
        show: the answers to so many of the inputs, with what they are
        space: `package.module:function` where a network of your own was searched
        device: cpu, cuda, cuda:1, mps; the best there is by default
        progress: show a progress bar on terminals, and a line a minute elsewhere
    """
    require_whole("evaluate", 0, show=show)
    network = comparison.load(run, own.network(space) if space else None)
    dataset = comparison.dataset_of(run, data, image_size)
    found = evaluation.evaluate(network, dataset, split, device=device, progress=progress)
    if World.start(device).main:
        console.say(f"{split}: {found}, {found.count:,} inputs")
        console.give(run=run, split=split, **found.record())
        answers = list(_answers(network, dataset, split, show))
        console.say(
            *(f"{split} input {number}, which is {truth}: {one}" for number, (one, truth) in enumerate(answers))
        )
        console.give(**({"answers": [{"is": truth, **one.record()} for one, truth in answers]} if show else {}))


def _answers(model: Model, dataset: Dataset, split: str, count: int) -> Iterator[tuple[Prediction, str]]:
    """What the network says of the first inputs, and what they are."""
    subset = dataset.subset(split)
    if not count:
        return
    few = subset.take(torch.arange(min(count, len(subset))))
    for x, y in Batches(few, TOGETHER, device=next(model.parameters()).device).epoch():
        with torch.no_grad():
            predictions = dataset.task.predictions(called(model, x))
        for prediction, target in zip(predictions, y, strict=True):
            yield prediction, _target(dataset.task, target)


def _target(task: Task, target: Any) -> str:
    """What an input is, in a word or a number."""
    if not isinstance(target, Tensor) or target.numel() != 1:
        return "of several targets"
    value = target.item()
    return task.class_names[int(value)] if isinstance(task, Classification) else f"{value:.4g}"
