"""Planted results: known means, seeds, ties and reversals."""

from __future__ import annotations

import numpy as np

from archgrad.bench.statistics.results import Result, Results


def planted(
    means: np.ndarray,
    *,
    searches: int = 3,
    noise: float = 0.0,
    search_noise: float = 0.0,
    methods: list[str] | None = None,
    seed: int = 0,
) -> Results:
    """Units of ``means[method, benchmark, setting]``; names a, b, … · bench 1 … · 1 …"""
    generator = np.random.default_rng(seed)
    names = methods or [chr(ord("a") + m) for m in range(len(means))]
    units = []
    for m, b in np.ndindex(means.shape[:2]):
        for s in range(searches):
            shift = search_noise * generator.normal()
            for h in range(means.shape[2]):
                score = means[m, b, h] + shift + noise * generator.normal()
                units.append(Result(names[m], f"bench {b + 1}", str(h + 1), s, score=float(score)))
    return Results.of(units, title="Planted")
