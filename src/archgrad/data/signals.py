"""Generated signals in one dimension: ten random shapes, moved, stretched and sheared, in coloured noise.

A signal is made by sums, products, quotients, square roots and comparisons of 64-bit numbers, which IEEE 754 rounds in
one way, and the random numbers are the raw output of PCG64, which NumPy keeps as it is (NEP 19). So the set is the same
on every machine, bit by bit.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from archgrad.data.dataset import Dataset, Subset
from archgrad.tasks import Classification

Values = NDArray[np.float64]

CLASSES = tuple("ABCDEFGHIJ")
LENGTH = 64
TRAIN, TEST = 3000, 2000
KNOTS = 12
"""Numbers that make a shape; between them it is straight, and before the first and after the last it is 0."""
MEMORY = 0.85
"""Correlation of the noise from one step to the next."""
NOISE = 0.25
"""Standard deviation of the white part of the noise; that of a shape's numbers is 1."""
SEED = 1


def signals() -> Dataset:
    """3,000 training and 2,000 test signals ``[1, 64]``, as many of every class.

    A shape is the straight lines through 12 normal numbers. A signal shows its shape, stretched to between 24 and 56
    steps, anywhere it fits, 0.7 to 1.3 times as high, upon a slope, and under noise n_t = 0.85 n_{t−1} + 0.25 e_t with
    normal e_t: slow enough to look like a part of a shape.
    """
    draw = _Draws(SEED)
    shapes = draw.normal(len(CLASSES), KNOTS)
    labels = np.arange(TRAIN + TEST) % len(CLASSES)
    x = torch.from_numpy(_signals(shapes[labels], draw).astype(np.float32))[:, None]
    y = torch.from_numpy(labels)
    train, test = Subset(x[:TRAIN], y[:TRAIN]), Subset(x[TRAIN:], y[TRAIN:])
    return Dataset("signals", Classification(CLASSES), tuple(x.shape[1:]), train, test)


def _signals(shapes: Float[Values, "n knots"], draw: _Draws) -> Float[Values, "n length"]:
    """One signal per shape."""
    count = len(shapes)
    width = 24 + 32 * draw.uniform(count, 1)
    start = (LENGTH - width) * draw.uniform(count, 1)
    height = 0.7 + 0.6 * draw.uniform(count, 1)
    slope = 2 * draw.uniform(count, 1) - 1
    time = np.arange(LENGTH, dtype=np.float64)[None]
    padded = np.pad(shapes, ((0, 0), (1, 1)))
    place = np.clip((time - start) / width * (KNOTS + 1), 0, KNOTS + 1)
    before = np.minimum(place.astype(np.int64), KNOTS)
    left, right = np.take_along_axis(padded, before, 1), np.take_along_axis(padded, before + 1, 1)
    shape = left + (place - before) * (right - left)
    result: Values = (
        height * shape + slope * (time / (LENGTH - 1) - 0.5) + NOISE * _coloured(draw.normal(count, LENGTH))
    )
    return result


def _coloured(white: Float[Values, "n length"]) -> Float[Values, "n length"]:
    """Noise that remembers: n_t = ρ n_{t−1} + e_t, whose variance is 1 / (1 − ρ²) from the start."""
    noise = white.copy()
    noise[:, 0] /= math.sqrt(1 - MEMORY * MEMORY)
    for t in range(1, LENGTH):
        noise[:, t] += MEMORY * noise[:, t - 1]
    return noise


class _Draws:
    """Random numbers in the order in which they are asked for."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, *shape: int) -> Values:
        """In [0, 1), multiples of 2⁻⁵³."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        result: Values = (raw >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53
        return result

    def normal(self, *shape: int) -> Values:
        """Sums of twelve uniform numbers, less 6: mean 0, variance 1, normal to the eye, and without a logarithm."""
        total = self.uniform(*shape)
        for _ in range(11):
            total += self.uniform(*shape)
        total -= 6
        return total
