"""Random walks, and how fast the accuracies along them decorrelate."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float

from archgrad.errors import ArchgradError
from archgrad.landscape.graph import adjacency, nodes
from archgrad.landscape.sampling import sample_neighbours
from archgrad.landscape.surface import METRIC, Source, Surface
from archgrad.tables import Table


def random_walks(
    table: Source, steps: int, walks: int = 100, *, metric: str = METRIC, merge: bool = False, seed: int = 0
) -> Float[np.ndarray, "walks points"]:
    """Accuracies along walks that make one random edit per step, from random starts.

    ``merge``: walk over isomorphism classes. A `Surface` is evaluated once per architecture met.
    """
    if steps < 1 or walks < 1:
        raise ArchgradError(f"random walks: steps and walks must be 1 or more, got {steps} and {walks}")
    rng = np.random.default_rng(seed)
    if isinstance(table, Surface):
        if merge:
            raise ArchgradError("random walks: merging isomorphs needs a table")
        return _on_surface(table, steps, walks, rng)
    accuracy = _accuracy(table, metric, merge)
    graph = adjacency(table, merge)
    degrees = np.diff(graph.indptr)
    if not degrees.all():
        raise ArchgradError(f"random walks: table {table.name!r} has architectures without any neighbour in it")
    here = rng.integers(len(accuracy), size=walks)
    met = [here]
    for _ in range(steps):
        here = graph.indices[graph.indptr[here] + rng.integers(degrees[here])]
        met.append(here)
    found: Float[np.ndarray, "walks points"] = accuracy[np.stack(met, axis=1)]
    return found


def _on_surface(
    surface: Surface, steps: int, walks: int, rng: np.random.Generator
) -> Float[np.ndarray, "walks points"]:
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    found = np.empty((walks, steps + 1))
    for walk in found:
        here = surface.space.random(generator)
        walk[0] = surface(here)
        for step in range(1, steps + 1):
            (here,) = sample_neighbours(surface.space, here, 1, 1, rng)
            walk[step] = surface(here)
    return found


def autocorrelation(walks: Float[np.ndarray, "walks points"], lags: int = 10) -> Float[np.ndarray, " lags_and_0"]:
    """Of measured walks: r(k) = E[(f_t − f̄)(f_{t+k} − f̄)] / Var f, for k = 0 … ``lags``."""
    if not 0 <= lags < walks.shape[1]:
        raise ArchgradError(f"autocorrelation: walks of {walks.shape[1]} points allow lags below that, got {lags}")
    if np.ptp(walks) == 0:
        raise ArchgradError("autocorrelation: the accuracy is constant")
    centred = walks - walks.mean()
    variance = (centred**2).mean()
    points = walks.shape[1]
    return np.array([(centred[:, : points - k] * centred[:, k:]).mean() / variance for k in range(lags + 1)])


def exact_autocorrelation(
    table: Table, lags: int = 10, *, metric: str = METRIC, merge: bool = False
) -> Float[np.ndarray, " lags_and_0"]:
    """What infinitely many infinitely long walks would measure: r(k) = ⟨f, Pᵏ f⟩ / ⟨f, f⟩, f centred.

    P: one step of the walk; ⟨·,·⟩ weighs architectures by how often walks meet them, which is by their neighbours'
    number. A sum of one term per edge of NAS-Bench-201 has r(k) = (1 − 5/24)ᵏ; interactions of p edges (1 − 5p/24)ᵏ.

    *Source:* Weinberger, Correlated and uncorrelated fitness landscapes, Biol. Cybern. 63 (1990).
    """
    accuracy = _accuracy(table, metric, merge)
    graph = adjacency(table, merge)
    degrees = np.diff(graph.indptr)
    weights = degrees / degrees.sum()
    centred = accuracy - weights @ accuracy
    variance = weights @ centred**2
    if np.ptp(accuracy) == 0:
        raise ArchgradError("autocorrelation: the accuracy is constant")
    moved, found = centred, []
    for _ in range(lags + 1):
        found.append(weights @ (centred * moved) / variance)
        moved = (graph @ moved) / np.maximum(degrees, 1)
    return np.array(found)


def correlation_length(autocorrelation: Float[np.ndarray, " lags_and_0"]) -> float:
    """−1 / ln r(1), in edits: after so many the correlation has fallen to 1/e; 0 where r(1) is not positive."""
    first = float(autocorrelation[1])
    if first <= 0:
        return 0.0
    return math.inf if first >= 1 else -1 / math.log(first)


def _accuracy(table: Table, metric: str, merge: bool) -> Float[np.ndarray, " nodes"]:
    accuracy: Float[np.ndarray, " nodes"] = table.values(metric)[nodes(table, merge)]
    if np.isnan(accuracy).any():
        raise ArchgradError(f"table {table.name!r}: {metric} is missing for some architectures; walks need it for all")
    return accuracy
