"""Arrays of images in any layout, type and range come to one scale; what may be two things is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archgrad import data
from archgrad.errors import ArchgradError
from archgrad.evaluation import evaluate

Y = np.arange(20) % 2
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
FIRST = torch.from_numpy(PIXELS).permute(0, 3, 1, 2)


def whole(x: Any, **options: Any) -> torch.Tensor:
    """What is read of inputs, in their order."""
    dataset = data.from_tensors(x, Y, x, Y, **options)
    assert torch.equal(dataset.train.inputs, dataset.test.inputs)
    return dataset.train.inputs


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.int64, np.uint16, np.uint32])
@pytest.mark.parametrize("last", [True, False])
def test_whole_numbers_are_pixels_wherever_the_channels_are(kind: type, last: bool):
    x = PIXELS.astype(kind) if last else FIRST.numpy().astype(kind)
    assert torch.equal(whole(x), FIRST)
    assert data.from_tensors(x, Y).mean == pytest.approx(data.from_tensors(FIRST, Y).mean)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_floats_come_to_fractions_in_the_type_of_networks(kind: type):
    for values in (PIXELS.astype(kind), (PIXELS / 255).astype(kind)):
        found = whole(values)
        assert found.dtype == torch.get_default_dtype()
        torch.testing.assert_close(found, FIRST / 255, atol=1e-3, rtol=0)
    around_zero = np.random.default_rng(0).normal(size=(20, 3, 8, 8)).astype(kind)
    torch.testing.assert_close(whole(around_zero), torch.from_numpy(around_zero).float())


def test_sixteen_bits_are_fractions_and_normalised():
    x = np.random.default_rng(0).integers(0, 65536, (20, 8, 8, 1), dtype=np.uint16)
    dataset = data.from_tensors(x, Y, x, Y)
    expected = torch.from_numpy(x.astype(np.float64) / 65535).permute(0, 3, 1, 2)
    torch.testing.assert_close(dataset.train.inputs.double(), expected)
    (batch, _), *_ = data.Batches(dataset.train, 20).epoch()
    torch.testing.assert_close(batch.mean(), torch.tensor(0.0), atol=1e-5, rtol=0)
    torch.testing.assert_close(batch.std(correction=0), torch.tensor(1.0), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("kind", "low"), [(np.uint16, 9), (np.float32, 1)])
def test_the_test_part_is_on_the_scale_of_the_training_part(kind: type, low: int):
    high = 65535 if kind is np.uint16 else 255
    bright, dark = np.full((20, 1, 4, 4), high, dtype=kind), np.full((4, 1, 4, 4), low, dtype=kind)
    dataset = data.from_tensors(bright, Y, dark, Y[:4])
    torch.testing.assert_close(dataset.test.inputs, torch.full((4, 1, 4, 4), low / high))


def test_bits_are_black_and_white():
    assert whole(PIXELS[..., :1] > 99).unique().tolist() == [0, 255]


def test_maps_of_many_channels_stay_as_they_are():
    maps = np.random.default_rng(0).normal(size=(20, 16, 5, 5))
    assert whole(maps).shape == (20, 16, 5, 5)
    assert whole(maps.transpose(0, 2, 3, 1), channels_last=True).shape == (20, 16, 5, 5)
    tokens = np.random.default_rng(0).integers(0, 70_000, (20, 7))
    assert torch.equal(whole(tokens), torch.from_numpy(tokens))


@settings(max_examples=60, deadline=None)
@given(height=st.integers(5, 12), width=st.integers(5, 12), channels=st.sampled_from([1, 3, 4]), last=st.booleans())
def test_the_layout_of_pixels_never_matters(height: int, width: int, channels: int, last: bool):
    x = torch.arange(2 * channels * height * width).view(2, channels, height, width).remainder(251).to(torch.uint8)
    given = x.permute(0, 2, 3, 1) if last else x
    dataset = data.from_tensors(given, [0, 1], given, [0, 1])
    assert torch.equal(dataset.train.inputs, x)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((20, 1, 4, 4), 70_000), "pixels must lie in 8 or 16 bits, got whole numbers from 70000 to 70000"),
        (np.full((20, 3, 4, 4), -3), "pixels must lie in 8 or 16 bits, got whole numbers from -3 to -3"),
        (np.zeros((20, 28, 32, 3)), r"shape \[20, 28, 32, 3\] may be images with their channels last, or maps of 28"),
        (np.zeros((20, 3, 0, 4)), "holds no inputs, its shape is"),
        ([[1.0], [2.0, 3.0]], "x: must be one array of numbers"),
    ],
)
def test_what_may_be_two_things_is_refused(x: Any, message: str):
    with pytest.raises(ArchgradError, match=message):
        data.from_tensors(x, Y[: len(x)])


@pytest.mark.parametrize("wrong", [None, (PIXELS, Y), PIXELS, 5, "x" * 5000, "a\0b"])
def test_what_is_no_dataset_is_one_short_line(wrong: Any):
    with pytest.raises(ArchgradError, match=r"data must be a name, a path or a Dataset, got \w+|'x|'a") as told:
        data.load(wrong)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("weights", [torch.float32, torch.float64])
def test_floats_of_any_size_suit_the_network(kind: torch.dtype, weights: torch.dtype):
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).to(kind)
    network = torch.nn.Linear(3, 2).to(weights)
    found = evaluate(network, data.from_tensors(x, Y, x, Y), device="cpu")
    expected = torch.nn.functional.cross_entropy(network(x.to(weights)), torch.from_numpy(Y))
    assert found.loss == pytest.approx(float(expected), rel=1e-5)
