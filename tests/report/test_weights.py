"""The weights section shows softmax(alphas)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from archgrad.report.rundata import RunData
from archgrad.report.weights import shares, weights


def test_softmax_equals_its_formula_and_cannot_overflow() -> None:
    alphas = np.random.default_rng(0).normal(size=(3, 2, 5))
    np.testing.assert_allclose(shares(alphas), np.exp(alphas) / np.exp(alphas).sum(-1, keepdims=True), rtol=1e-12)
    np.testing.assert_allclose(shares(np.array([1e5, 0.0, -np.inf])), [1.0, 0.0, 0.0])
    np.testing.assert_allclose(shares(np.full(4, -np.inf)), 0.25)


def test_one_chart_per_edge_with_the_weights_of_every_epoch(plant: Callable[..., Path]) -> None:
    directory = plant("nasbench201", epochs=3)
    body = weights(RunData.read(directory)).body
    assert body.count("<svg") == 6
    assert body.count('class="band"') == 6 * 4
    with np.load(directory / "alphas.npz") as arrays:
        last = shares(arrays["cell"])[-1]
    shown = re.findall(r'<td class="number">([\d.]+)</td>', body)
    np.testing.assert_allclose(np.array(shown, float).reshape(6, 5), last, atol=5e-4)
