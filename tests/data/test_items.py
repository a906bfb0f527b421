"""Examples of a user's map-style dataset: the same whoever fetches them, in batches of any structure."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from archgrad import data
from archgrad.data import Batches
from archgrad.errors import ArchgradError
from archgrad.tasks import Classification, MultiLabel, Regression, Task


class Noisy(Dataset):
    """Examples to which each of the three global generators adds something."""

    def __init__(self, count: int = 20, listed: bool = False) -> None:
        self.count = count
        if listed:
            self.targets = [index % 3 for index in range(count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        noise = torch.tensor([torch.rand(()), np.random.rand(), random.random()])
        return index + 0.5 * noise, index % 3


def epoch(dataset: data.Dataset, number: int = 0, start: int = 0, batch_size: int = 6, **options):
    loader = Batches(dataset.train, batch_size, **{"seed": 3, "shuffle": True, "workers": 0, **options})
    return list(loader.epoch(number, start))


NOISY = data.from_dataset(Noisy(), Noisy(4), task=Classification(3))


@pytest.mark.parametrize("options", [{}, {"workers": 1}, {"workers": 2}])
def test_augmentation_follows_from_seed_epoch_and_item(options: dict):
    whole = epoch(NOISY)
    for (x, y), (x_again, y_again) in zip(whole, epoch(NOISY, **options), strict=True):
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)
    late = epoch(NOISY, start=2, **options)
    assert torch.equal(late[0][0], whole[2][0])
    one = {round(float(x[0])): x for batch, _ in whole for x in batch}
    other = {round(float(x[0])): x for batch, _ in epoch(NOISY, 1) for x in batch}
    assert not any(torch.equal(one[item], other[item]) for item in one)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_fetch_together_what_one_fetches(world: int):
    whole = epoch(NOISY, batch_size=8)
    parts = [epoch(NOISY, batch_size=8 // world, rank=rank, world=world) for rank in range(world)]
    for step, (x, y) in enumerate(whole):
        assert torch.equal(torch.cat([part[step][0] for part in parts]), x)
        assert torch.equal(torch.cat([part[step][1] for part in parts]), y)


def test_an_empty_slice_has_the_shape_of_an_example():
    (x, y), *_ = epoch(data.from_dataset(Noisy(1), Noisy(1), task=Classification(3)), batch_size=1, rank=0, world=2)
    assert (x.shape, y.shape) == ((0, 3), (0,))


def test_the_callers_generators_are_left_alone():
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    epoch(NOISY)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]


def test_parts_are_stratified_where_the_dataset_lists_its_classes():
    listed = data.from_dataset(Noisy(30, listed=True))
    assert listed.task.class_names == ("0", "1", "2")
    assert torch.bincount(listed.test.strata).tolist() == [2, 2, 2]
    first, second = data.split(listed.train, 0.5, 1)
    assert torch.bincount(first.strata).tolist() == torch.bincount(second.strata).tolist() == [4, 4, 4]
    plain = data.from_dataset(Noisy(30), task=Classification(3))
    assert plain.test.strata is None
    assert (len(plain.train), len(plain.test)) == (24, 6)
    numbers = torch.cat([plain.train.inputs.numbers, plain.test.inputs.numbers])
    assert numbers.sort().values.tolist() == list(range(30))


def test_items_may_be_dictionaries_tuples_and_pixels():
    pixels = np.full((1, 2, 2), 255, dtype=np.uint8)
    rows = [({"image": pixels, "text": (torch.arange(3), index)}, torch.tensor([0, index % 2])) for index in range(10)]
    dataset = data.from_dataset(rows, rows, task=MultiLabel())
    assert dataset.task.outputs == 2
    assert dataset.shape == {"image": (1, 2, 2), "text": ((3,), ())}
    assert dataset.image_size is None
    (x, y), *_ = Batches(dataset.train, 4, workers=0).epoch()
    assert torch.equal(x["image"], torch.ones(4, 1, 2, 2))
    assert x["text"][0].shape == (4, 3)
    assert x["text"][1].tolist() == [0, 1, 2, 3]
    assert y.tolist() == [[0, 0], [0, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    ("items", "task", "message"),
    [
        ([1, 2], Regression(), "list: item 0 must be a pair of an input and a target, got int"),
        ([], Regression(), "list: the dataset is empty"),
        (iter([1]), Regression(), "needs a dataset with a length and numbered items, got list_iterator"),
        ([(torch.zeros(2), 0)], None, r"list: give the task its number of classes, as Classification\(10\)"),
        ([("text", 0)], Classification(2), "list: items do not make a batch"),
        ([(torch.zeros(2), 5)], Classification(2), "list: targets: labels must lie in 0 … 1, got 5"),
    ],
)
def test_unusable_items_are_named(items: object, task: Task | None, message: str):
    with pytest.raises(ArchgradError, match=message):
        data.from_dataset(items, items, task=task)


def test_items_that_do_not_stack_are_one_line_from_a_worker_too():
    rows = [(torch.zeros(2), 0), (torch.zeros(3), 0)]
    dataset = data.from_dataset(rows, rows, task=Classification(2))
    for workers in (0, 1):
        with pytest.raises(ArchgradError, match=r"^list: items do not make a batch"):
            list(Batches(dataset.train, 2, workers=workers).epoch())
