"""The generated signals: the same everywhere, and made as their description says."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from archgrad import data
from archgrad.data import signals
from archgrad.tasks import Classification


def test_the_set_is_the_same_on_every_machine() -> None:
    found = data.load("signals")
    contents = b"".join(t.numpy().tobytes() for part in (found.train, found.test) for t in (part.inputs, part.targets))
    assert hashlib.sha256(contents).hexdigest() == "ac13341bc7e2edc2783133977a435fc2969be63595c87aa9a41b295c05fa722c"
    assert (found.shape, found.image_size, found.augmentation) == ((1, 64), None, None)
    assert isinstance(found.task, Classification)
    assert found.task.class_names == tuple("ABCDEFGHIJ")
    for part, each in ((found.train, 300), (found.test, 200)):
        assert part.inputs.dtype == torch.float32
        assert torch.bincount(part.targets).tolist() == [each] * 10


def test_signals_of_a_class_show_one_shape_where_it_is() -> None:
    """Without noise, slope, stretch and shift of its own, a signal is the lines through its shape's numbers."""
    shape = np.arange(1.0, 13.0)

    class Middle(signals._Draws):
        def uniform(self, *size: int) -> np.ndarray:
            return np.full(size, 0.5)

    found = signals._signals(shape[None], Middle(0))[0]
    start, width = 12, 40  # the middle of 24 … 56 steps, in the middle of 64
    place = np.clip((np.arange(64) - start) / width * 13, 0, 13)
    assert found == pytest.approx(np.interp(place, range(14), [0, *shape, 0]))


def test_noise_remembers_as_much_as_is_said() -> None:
    noise = signals._coloured(signals._Draws(5).normal(20_000, signals.LENGTH))
    wanted = 1 / (1 - signals.MEMORY**2)
    assert noise.var(0) == pytest.approx(np.full(signals.LENGTH, wanted), rel=0.06)
    assert np.corrcoef(noise[:, 30], noise[:, 31])[0, 1] == pytest.approx(signals.MEMORY, abs=0.01)
    assert np.corrcoef(noise[:, 0], noise[:, 10])[0, 1] == pytest.approx(signals.MEMORY**10, abs=0.03)


def test_random_numbers_have_the_moments_that_are_said() -> None:
    uniform, normal = signals._Draws(1).uniform(100_000), signals._Draws(2).normal(100_000)
    assert (uniform.mean(), uniform.var()) == pytest.approx((0.5, 1 / 12), rel=0.01)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert (normal.mean(), normal.var()) == pytest.approx((0, 1), abs=0.015)
