"""Rank correlations of scores with accuracies, and what is left of them where others explain a part."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from archgrad.scoring.correlation import statistics

FEW = 50
"""Different values that count as groups; of more of them a curve is fitted."""
DRAWS = 500
Scores = Float[np.ndarray, "scores networks"]
Values = Float[np.ndarray, " networks"]
Basis = Float[np.ndarray, "networks terms"]


class Correlation(NamedTuple):
    """ρ of every score with every target, and the ends of its 95 % bootstrap interval over networks."""

    value: Float[np.ndarray, "scores targets"]
    low: Float[np.ndarray, "scores targets"]
    high: Float[np.ndarray, "scores targets"]


def basis(values: Values) -> Basis:
    """What explains all that depends on these values: each a group if there are few, else a cubic of their ranks."""
    different, group = np.unique(values, return_inverse=True)
    if len(different) <= FEW:
        return np.eye(len(different))[group]
    return np.vander(rankdata(values) / len(values), 4)


def left(scores: Scores, targets: Scores, explained: Basis) -> Float[np.ndarray, "scores targets"]:
    """Pearson's correlation of what least squares on ``explained`` leaves of the ranks; NaN where it leaves nothing.

    A partial Spearman correlation leaves what is not linear in the other's ranks: a score that is a function of size
    alone, such as the mean robust accuracy of networks of that size, has one of 0.45 given size.
    """
    q, r = np.linalg.qr(explained)
    q = q[:, np.abs(np.diag(r)) > 1e-9 * np.abs(r).max()]
    parts = []
    for rows in (scores, targets):
        ranks = rankdata(rows, axis=1)
        ranks -= ranks.mean(1, keepdims=True)
        whole = np.linalg.norm(ranks, axis=1, keepdims=True)
        ranks -= (ranks @ q) @ q.T
        length = np.linalg.norm(ranks, axis=1, keepdims=True)
        parts.append(np.divide(ranks, length, out=np.full_like(ranks, np.nan), where=length > 1e-6 * whole))
    found: Float[np.ndarray, "scores targets"] = parts[0] @ parts[1].T
    return found


def correlation(scores: Scores, targets: Scores, explained: Basis | None = None, draws: int = DRAWS) -> Correlation:
    """Spearman's ρ, or what is left of it."""
    measure: Callable[..., np.ndarray] = statistics.spearman if explained is None else left
    more = () if explained is None else (explained,)
    found = measure(scores, targets, *more)
    drawn = [
        measure(scores[:, some], targets[:, some], *(rows[some] for rows in more))
        for some in statistics.resamples(scores.shape[1], draws, 0)
    ]
    low, high = np.nanpercentile(np.stack(drawn), (2.5, 97.5), axis=0)
    return Correlation(found, low, high)
