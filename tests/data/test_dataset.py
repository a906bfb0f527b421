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
    per_class = torch.bincount(first.labels, minlength=len(counts))
    assert ((per_class - fraction * torch.tensor(counts)).abs() < 1).all()
    assert torch.equal(first.labels, labels[first.inputs[:, 0].long()])
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
    assert dataset.train.inputs.dtype == torch.float64
    assert data.load(dataset) is dataset


def test_own_images_are_normalised_to_zero_mean_and_unit_deviation():
    x = torch.randint(0, 200, (64, 3, 8, 8), dtype=torch.uint8)
    y = torch.arange(64) % 2
    dataset = data.from_tensors(x, y, x[:8], y[:8], classes=["cat", "dog"], augmentation=Augmentation(pad=1))
    (batch, _), *_ = data.Batches(dataset.train, 64).epoch()
    torch.testing.assert_close(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)
    assert dataset.class_names == ("cat", "dog")


X, Y = torch.rand(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:5], X, Y), "6 train inputs but 5 labels"),
        ((X, Y.float(), X, Y), r"y_train: must be integers of shape \[n\]"),
        ((X, Y, X, Y + 1), r"y_test: labels must lie in 0 … 2, got 3"),
        ((X, Y - 1, X, Y), r"y_train: labels must lie in 0 … 1, got -1"),
        ((X, Y, X[:, :2], Y), r"x_test has inputs of shape \[2\], x_train of \[3\]"),
        ((X / 0, Y, X, Y), "x_train: holds values that are not finite"),
        ((X.long(), Y, X, Y), "x_train: must be uint8 or floating point"),
        ((X, Y, X), "both x_test and y_test"),
        ((X[:0], Y[:0], X, Y), "train part is empty"),
    ],
)
def test_unusable_tensors_are_named(arguments: tuple, message: str):
    with pytest.raises(ArchgradError, match=message):
        data.from_tensors(*arguments)


def test_only_images_are_augmented():
    with pytest.raises(ArchgradError, match="only images"):
        data.from_tensors(X, Y, X, Y, augmentation=Augmentation())
