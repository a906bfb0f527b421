"""Datasets of a user's own: from tensors and arrays, and from map-style datasets of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from archgrad.data.arrays import Arrays
from archgrad.data.augmentation import Augmentation
from archgrad.data.dataset import (
    SPLIT_SEED,
    TEST_FRACTION,
    Dataset,
    Subset,
    normalised,
    shape_of,
    shape_text,
    split,
)
from archgrad.data.items import Items
from archgrad.data.labels import Labelling, is_unlabelled
from archgrad.errors import ArchgradError
from archgrad.nested import leaves
from archgrad.tasks import Classification, Task


def from_tensors(
    x: Any,
    y: Any,
    test_x: Any = None,
    test_y: Any = None,
    *,
    task: Task | None = None,
    classes: int | Sequence[str] | None = None,
    augmentation: Augmentation | None = None,
    channels_last: bool | None = None,
    name: str = "tensors",
) -> Dataset:
    """A dataset of a user's own tensors or arrays: inputs `[n, …]` and the targets of a task.

    `x`: one tensor, or a tuple or dictionary of them, which the network takes as several arguments or by name. Images
    are `[n, channels, height, width]`, or `[n, height, width, channels]`, which their shape tells, or `channels_last`
    where it does not. `uint8` are pixels, scaled to [0, 1]; images of them are also normalised with the training set's
    mean and deviation. So are images of other whole numbers, from 0 to 255 or to 65,535; those of floats from 0 to 255
    are divided by 255. Other floats are given to the network as they are, in the type of its weights, and other whole
    numbers, such as tokens, unchanged. Only images can have an augmentation, and have none unless given.

    `task`: classification unless given, whose classes are the different labels, numbers or names; `classes` gives their
    number or names. Without test tensors, or with test labels that are all missing (−1), a fixed fifth of the training
    set is held out, stratified where the task has classes.

    Raises ArchgradError for lengths that differ, targets that do not fit the task, or inputs not finite.
    """
    if task is not None and classes is not None:
        raise ArchgradError(f"{name}: give either a task or the classes of a classification, not both")
    if (test_x is None) != (test_y is None):
        raise ArchgradError(f"{name}: give both test_x and test_y, or neither")
    arrays = Arrays(channels_last)
    inputs = arrays.read(x, f"{name}: x")
    task, targets = _task(task or Classification(classes), y, f"{name}: y")
    train = _subset(inputs, targets(y, f"{name}: y"), name, "train")
    shape = shape_of(train.inputs)
    if targets != task.targets and test_y is not None and is_unlabelled(test_y, f"{name}: test_y"):
        test_x = None
    if test_x is None:
        test, train = split(train, TEST_FRACTION, SPLIT_SEED)
    else:
        test_inputs = arrays.read(test_x, f"{name}: test_x")
        test = _subset(test_inputs, targets(test_y, f"{name}: test_y"), name, "test")
        if (found := shape_of(test.inputs)) != shape:
            raise ArchgradError(f"{name}: test_x has inputs of shape {shape_text(found)}, x of {shape_text(shape)}")
    image = isinstance(train.inputs, Tensor) and train.inputs.ndim == 4
    if augmentation is not None and not image:
        raise ArchgradError(f"{name}: only images [n, channels, height, width] can be augmented")
    if image and (train.inputs.dtype == torch.uint8 or arrays.fractions):
        train, test = normalised(train, test)
    return Dataset(name, task, shape, train, test, augmentation)


def _task(task: Task, y: Any, where: str) -> tuple[Task, Any]:
    """The task with its number of outputs, and what reads targets for it."""
    if not isinstance(task, Classification) or type(task).targets is not Classification.targets:
        task = task.sized(y, where)  # another task, or a classification that reads its own labels
        return task, task.targets
    labelling = Labelling.of(y, where, task.class_names or None)
    return replace(task, classes=labelling.names), labelling.numbers


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
    task = items.sized(y)
    if task.outputs is None and task.loss is None and items.listed is None and not task.sized_by_few:
        raise ArchgradError(f"{name}: give the task its number of classes, as {task}(10)")
    whole = Subset(replace(items, task=task))
    if test is None:
        held_out, whole = split(whole, TEST_FRACTION, SPLIT_SEED)
    else:
        held_out = Subset(replace(Items.of(test, task, f"{name}: test"), labelling=items.labelling))
    return Dataset(name, task, shape_of(x), whole, held_out)


def _subset(x: Any, y: Any, name: str, part: str) -> Subset:
    count = len(leaves(y)[0])
    for tensor in leaves(x):
        if len(tensor) != count:
            raise ArchgradError(f"{name}: {len(tensor)} {part} inputs but {count} targets")
    return Subset(x, y)
