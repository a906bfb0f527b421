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
Basis = Float[np.ndarray, "cells terms"]

GROUP = 10
"""Cells for each different value, from which on every value is a group of its own."""


def spearman(scores: Scores, values: Values) -> Correlations:
    """Pearson's correlation of the ranks, equal ones averaged; NaN for what is constant."""
    found: Correlations = _standard_ranks(scores) @ _standard_ranks(values).T
    return found


def given(scores: Scores, values: Values, explained: Basis) -> Correlations:
    """Pearson's correlation of what least squares on ``explained`` leaves of the ranks; NaN where it leaves nothing.

    The usual partial correlation leaves what is not linear in the other's ranks: on NAS-Bench-201 the mean robust
    accuracy of the networks of each size, which knows nothing but size, has one of 0.45 given size.
    """
    q, r = np.linalg.qr(explained)
    q = q[:, np.abs(np.diag(r)) > 1e-9 * np.abs(r).max()]
    found: Correlations = _left(scores, q) @ _left(values, q).T
    return found


def explained_by(values: Float[np.ndarray, " cells"]) -> Basis:
    """What explains all that depends on these values: each a group if many have it, else a cubic of their ranks."""
    different, group = np.unique(values, return_inverse=True)
    groups = len(values) >= GROUP * len(different)
    basis: Basis = np.eye(len(different))[group] if groups else np.vander(rankdata(values) / len(values), 4)
    return basis


def _left(rows: Float[np.ndarray, "rows cells"], q: Basis) -> Float[np.ndarray, "rows cells"]:
    ranks = _standard_ranks(rows)
    ranks -= (ranks @ q) @ q.T
    length = np.linalg.norm(ranks, axis=1, keepdims=True)
    found: Float[np.ndarray, "rows cells"] = np.divide(
        ranks, length, out=np.full_like(ranks, np.nan), where=length > 1e-6
    )
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
