"""Rank correlations of scores with accuracies and their intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from archgrad.scoring.correlation import statistics

DRAWS = 500


class Correlation(NamedTuple):
    """ρ of every score with every target, and the ends of its 95 % bootstrap interval over networks."""

    value: Float[np.ndarray, "scores targets"]
    low: Float[np.ndarray, "scores targets"]
    high: Float[np.ndarray, "scores targets"]


def correlation(
    scores: statistics.Scores, targets: statistics.Scores, explained: statistics.Basis | None = None, draws: int = DRAWS
) -> Correlation:
    """Spearman's ρ, or what is left of it given what ``explained`` explains."""
    measure: Callable[..., np.ndarray] = statistics.spearman if explained is None else statistics.given
    more = () if explained is None else (explained,)
    drawn = [
        measure(scores[:, some], targets[:, some], *(rows[some] for rows in more))
        for some in statistics.resamples(scores.shape[1], draws, 0)
    ]
    return Correlation(measure(scores, targets, *more), *np.percentile(np.stack(drawn), (2.5, 97.5), axis=0))
