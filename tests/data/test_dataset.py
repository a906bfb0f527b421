"""Splits are disjoint, stratified and seeded; a user's own tensors are checked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import data
from archgrad.data import Augmentation, Subset
from archgrad.errors import ArchgradError
from archgrad.tasks import Classification, Regression


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6), fraction=st.floats(0.2, 0.8), seed=st.integers(0, 99)
)
def test_split_is_disjoint_complete_stratified_and_of_exact_size(counts: list[int], fraction: float, seed: int):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    whole = Subset(torch.arange(len(labels)).float()[:, None], labels)
    if round(fraction * len(labels)) in (0, len(labels)):
        return
    first, second = data.split(whole, fraction, seed)
    assert sorted(torch.cat([first.inputs, second.inputs])[:, 0].tolist()) == list(range(len(labels)))
    assert len(first) == round(fraction * len(labels))
    per_class = torch.bincount(first.targets, minlength=len(counts))
    assert ((per_class - fraction * torch.tensor(counts)).abs() < 1).all()
    assert torch.equal(first.targets, labels[first.inputs[:, 0].long()])
    again, _ = data.split(whole, fraction, seed)
    assert torch.equal(first.inputs, again.inputs)


def test_another_seed_is_another_split():
    whole = Subset(torch.arange(100.0)[:, None], torch.arange(100) % 2)
    assert not torch.equal(data.split(whole, 0.5, 0)[0].inputs, data.split(whole, 0.5, 1)[0].inputs)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, float("nan"), 0.001])
def test_a_split_with_an_empty_part_is_refused(fraction: float):
    with pytest.raises(ArchgradError, match="split"):
        data.split(Subset(torch.zeros(10, 1), torch.zeros(10).long()), fraction, 0)


def test_own_tensors_of_any_shape():
    x, y = np.random.default_rng(0).normal(size=(50, 12, 3)), np.arange(50) % 4
    dataset = data.from_tensors(x, y)
    assert (dataset.classes, dataset.shape, dataset.image_size, dataset.mean) == (4, (12, 3), None, ())
    assert (len(dataset.train), len(dataset.test)) == (40, 10)
    assert dataset.train.inputs.dtype == torch.float32  # as networks have it
    assert data.load(dataset) is dataset


def test_own_images_are_normalised_to_zero_mean_and_unit_deviation():
    x = torch.randint(0, 200, (64, 3, 8, 8), dtype=torch.uint8)
    y = torch.arange(64) % 2
    dataset = data.from_tensors(x, y, x[:8], y[:8], classes=["cat", "dog"], augmentation=Augmentation(pad=1))
    (batch, _), *_ = data.Batches(dataset.train, 64).epoch()
    torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert dataset.task.class_names == ("cat", "dog")


X, Y = torch.rand(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:5], X, Y), "6 train inputs but 5 targets"),
        ((X, Y.float(), X, Y), "y: labels must be integers or names, got float32"),
        ((X, Y, X, Y + 1), r"test_y: label 3 is not one of the 3 classes \(0, 1, 2\)"),
        ((X, Y - 1, X, Y), "y: label -1 stands for no class"),
        ((X, Y, X[:, :2], Y), r"test_x has inputs of shape \[2\], x of \[3\]"),
        ((X / 0, Y, X, Y), "x: holds values that are not finite"),
        ((X + 1j, Y, X, Y), "x: must be real numbers, got torch.complex64"),
        ((X, Y, X), "both test_x and test_y"),
        ((X[:0], Y[:0], X, Y), "x: holds no inputs"),
    ],
)
def test_unusable_tensors_are_named(arguments: tuple, message: str):
    with pytest.raises(ArchgradError, match=message):
        data.from_tensors(*arguments)


def test_only_images_are_augmented():
    with pytest.raises(ArchgradError, match="only images"):
        data.from_tensors(X, Y, X, Y, augmentation=Augmentation())


def test_inputs_of_several_tensors_are_cut_and_split_together():
    x = {
        "tokens": torch.arange(20).view(10, 2),
        "more": (torch.arange(10) * 1.5, torch.ones(10, 3, 2, 2).to(torch.uint8)),
    }
    dataset = data.from_tensors(x, torch.arange(10.0), task=Regression())
    assert dataset.shape == {"tokens": (2,), "more": ((), (3, 2, 2))}
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    for inputs, targets in data.Batches(dataset.train, 3, shuffle=True).epoch():
        assert inputs["tokens"].dtype == torch.int64
        assert torch.equal(inputs["tokens"][:, 0] / 2, targets[:, 0])
        assert torch.equal(inputs["more"][0] / 1.5, targets[:, 0])
        assert torch.equal(inputs["more"][1], torch.full((len(targets), 3, 2, 2), 1 / 255))
    with pytest.raises(ArchgradError, match="inputs are several tensors"):
        _ = dataset.channels
    shorter = {"tokens": x["tokens"][:9], "more": x["more"]}
    with pytest.raises(ArchgradError, match="9 train inputs but 10 targets"):
        data.from_tensors(shorter, torch.arange(10.0), task=Regression())
    with pytest.raises(ArchgradError, match=r"test_x has inputs of shape \[2\], x of \{tokens: \[2\], more: "):
        data.from_tensors(x, torch.arange(10.0), x["tokens"], torch.arange(10.0), task=Regression())


def test_splits_without_classes_are_plain_and_exact():
    y = torch.rand(11, 2, generator=torch.Generator().manual_seed(0))
    first, second = data.split(Subset(torch.arange(11.0)[:, None], y), 0.5, 4)
    assert (len(first), len(second)) == (6, 5)
    assert torch.cat([first.inputs, second.inputs])[:, 0].sort().values.tolist() == list(range(11))
    assert torch.equal(first.targets, y[first.inputs[:, 0].long()])
    other, _ = data.split(Subset(torch.arange(11.0)[:, None], y), 0.5, 5)
    assert not torch.equal(other.inputs, first.inputs)


def test_the_task_is_given_once():
    assert data.from_tensors(X, Y, X, Y, task=Classification(5)).task.outputs == 5
    with pytest.raises(ArchgradError, match="either a task or the classes of a classification, not both"):
        data.from_tensors(X, Y, X, Y, task=Classification(3), classes=3)
