"""Stratified bootstrap: searches are drawn again within every method and benchmark, whole, with all their settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from archgrad.bench.statistics.cube import Cube, mean

BUDGET = 20_000_000  # resampled cells that are held at once, 160 MB


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resamples of a cube.

    With repeated searches the interval answers: had these benchmarks been searched again, where would the number lie?
    Settings share the search's genotype and are therefore drawn together. Without repetitions only the benchmarks can
    be drawn again, and the interval answers: had other benchmarks like these been chosen? ``over`` says which.

    *Source:* Agarwal et al., 2108.13264, section 4 (stratified bootstrap; tasks are strata, runs are drawn).
    *Differs:* a run there is one score, here the scores of one search under all settings.
    """

    cube: Cube
    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    @property
    def over(self) -> str:
        """What is drawn again: ``searches`` (or ``trainings``), else ``benchmarks``."""
        return self.cube.replicates if self.cube.replicated else "benchmarks"

    @cached_property
    def number(self) -> int:
        """Resamples: fewer than asked for where the cells would not fit into memory."""
        fitting = BUDGET // max(int(self.cube.cells.size), 1)
        return max(min(self.resamples, fitting), min(self.resamples, 200))

    @cached_property
    def benchmark_weights(self) -> Float[np.ndarray, "resamples benchmarks"]:
        """How often every benchmark is drawn; always once if searches are drawn."""
        count = len(self.cube.benchmarks)
        if self.over != "benchmarks":
            return np.ones((1, count), dtype=np.float64)
        drawn = self._generator(0).multinomial(count, np.full(count, 1 / count), size=self.number)
        return np.asarray(drawn, dtype=np.float64)

    def weights(self, method: int) -> Float[np.ndarray, "resamples benchmarks searches"]:
        """How often every search of a method is drawn, the same numbers at every call."""
        present = self.cube.present[method]
        if self.over == "benchmarks":
            return np.asarray(self.benchmark_weights[:, :, None] * present[None])
        generator = self._generator(1 + method)
        drawn = np.zeros((self.number, *present.shape), dtype=np.float32)
        for b, here in enumerate(present):
            if count := int(here.sum()):
                drawn[:, b, here] = generator.multinomial(count, np.full(count, 1 / count), size=self.number)
        return drawn

    @cached_property
    def cells(self) -> Float[np.ndarray, "resamples methods benchmarks settings"]:
        """Cell means of every resample; only the measured ones (one resample) if benchmarks are drawn."""
        cube = self.cube
        if self.over == "benchmarks":
            return cube.cells[None]
        result = np.empty((self.number, *cube.cells.shape))
        for m in range(len(cube.methods)):
            weights = self.weights(m).transpose(1, 0, 2)
            there = ~np.isnan(cube.scores[m])
            # Deviations from the cell's mean keep float32 weights exact enough.
            centre = np.nan_to_num(cube.cells[m])
            values = np.where(there, cube.scores[m] - centre[:, :, None], 0.0).transpose(0, 2, 1)
            total = weights @ values
            number = weights @ there.transpose(0, 2, 1).astype(np.float32)
            moved = np.where(number > 0, total / np.maximum(number, 1), np.nan)
            result[:, m] = (moved + centre[:, None]).transpose(1, 0, 2)
        return result

    def interval(self, samples: Float[np.ndarray, " resamples *n"]) -> Float[np.ndarray, " 2 *n"]:
        """The percentile interval of every element; NaN where no resample has a value."""
        tail = (1 - self.confidence) / 2
        if len(samples) < 2:
            return np.full((2, *samples.shape[1:]), np.nan)
        nothing = np.isnan(samples).all(0)
        bounds = np.nanquantile(np.where(nothing, 0.0, samples), [tail, 1 - tail], axis=0)
        return np.where(nothing, np.nan, bounds)

    def over_benchmarks(
        self, values: Float[np.ndarray, " resamples benchmarks *n"]
    ) -> Float[np.ndarray, " resamples *n"]:
        """The mean over the benchmarks in every resample; ``values`` has one resample if benchmarks are drawn."""
        if self.over != "benchmarks":
            return mean(values, 1)
        flat = values[0].reshape(values.shape[1], -1)
        there = ~np.isnan(flat)
        total, number = self.benchmark_weights @ np.where(there, flat, 0.0), self.benchmark_weights @ there
        drawn = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return np.asarray(drawn.reshape(-1, *values.shape[2:]))

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])
