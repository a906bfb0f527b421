"""Rank correlations of many scores with many measured values at once, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

Scores = Float[np.ndarray, "scores cells"]
Values = Float[np.ndarray, "values cells"]
Correlations = Float[np.ndarray, "scores values"]


def spearman(scores: Scores, values: Values) -> Correlations:
    """Pearson's correlation of the ranks, equal ones averaged; NaN for what is constant."""
    found: Correlations = _standard_ranks(scores) @ _standard_ranks(values).T
    return found


def partial_spearman(scores: Scores, values: Values, given: Float[np.ndarray, " cells"]) -> Correlations:
    """(r_sv − r_sg r_vg) / √((1 − r_sg²)(1 − r_vg²)): the correlation of what ``given`` does not explain of the ranks.

    NaN where it explains all of one.
    """
    s, v, g = (_standard_ranks(rows) for rows in (scores, values, given[None]))
    r_sg, r_vg = s @ g.T, v @ g.T
    left = np.clip(1 - r_sg**2, 0, None) @ np.clip(1 - r_vg**2, 0, None).T
    known = left > 1e-12
    found: Correlations = np.where(known, (s @ v.T - r_sg @ r_vg.T) / np.sqrt(np.where(known, left, 1)), np.nan)
    return found


def kendall(scores: Scores, values: Values) -> Correlations:
    """Kendall's τ_b."""
    return next(iter(_kendalls(scores, values, np.ones((1, scores.shape[1])))))


def resamples(cells: int, count: int, seed: int) -> Int[np.ndarray, "count cells"]:
    """Bootstrap samples: numbers of cells, drawn with repetition."""
    drawn: Int[np.ndarray, "count cells"] = np.random.default_rng(seed).integers(cells, size=(count, cells))
    return drawn


def kendall_bootstrap(scores: Scores, values: Values, samples: Int[np.ndarray, "count cells"]) -> Iterator[Any]:
    """Kendall's τ_b in every bootstrap sample."""
    weights = np.stack([np.bincount(sample, minlength=scores.shape[1]) for sample in samples])
    yield from _kendalls(scores, values, weights)


def _kendalls(scores: Scores, values: Values, weights: Float[np.ndarray, "samples cells"]) -> Iterator[Any]:
    """τ_b with multiplicities: Σ_ij w_i w_j s_ij v_ij over the root of the same sums of s_ij² and v_ij²."""
    w = weights.astype(np.float32)
    ordered = np.stack([_signs(row) for row in values])  # all pairs at once: signs need one byte each
    sizes = np.stack([_quadratic(signs**2, w) for signs in ordered])
    result = np.empty((len(w), len(scores), len(values)))
    for i, row in enumerate(scores):
        signs = _signs(row)
        size = _quadratic(signs**2, w)
        for j, other in enumerate(ordered):
            with np.errstate(invalid="ignore", divide="ignore"):
                result[:, i, j] = _quadratic(signs * other, w) / np.sqrt(size * sizes[j])
    yield from result


def _quadratic(products: Any, w: Any) -> Any:
    """wᵀ M w for every sample; whole numbers below 2²⁴ within a row are exact in single precision."""
    return ((w @ products.astype(np.float32)).astype(np.float64) * w).sum(1)


def _signs(row: Float[np.ndarray, " cells"]) -> Int[np.ndarray, "cells cells"]:
    ranks = rankdata(row)  # −∞ − −∞ has no sign, ranks have
    signs: Int[np.ndarray, "cells cells"] = np.sign(ranks[:, None] - ranks).astype(np.int8)
    return signs


def _standard_ranks(rows: Float[np.ndarray, "rows cells"]) -> Float[np.ndarray, "rows cells"]:
    """Ranks with mean 0 and length 1."""
    ranks = rankdata(rows, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    length = np.sqrt((ranks**2).sum(1, keepdims=True))
    found: Float[np.ndarray, "rows cells"] = np.divide(ranks, length, out=np.full_like(ranks, np.nan), where=length > 0)
    return found
