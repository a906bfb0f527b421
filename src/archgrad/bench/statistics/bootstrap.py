"""Stratified bootstrap: searches are drawn again within every method and benchmark, whole, with all their settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from archgrad.bench.statistics.cube import Cube, mean

BUDGET = 20_000_000  # resampled cells that are held at once, 160 MB
FEWEST = 5  # independent benchmarks from which others can be drawn; intervals of less cover the truth far too seldom


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Resamples of a compared cube.

    With repeated searches the interval is that of the number expected of these benchmarks with as many searches.
    Settings share the search's genotype and are therefore drawn together. Without repetitions only the benchmarks can
    be drawn again, and the interval answers: had other benchmarks like these been chosen? ``over`` says which.

    Of n searches n − 1 are drawn (Rao and Wu, JASA 83 (1988)): of n drawn ones the mean varies too little by the factor
    (n − 1)/n, which matters with three.

    *Source:* Agarwal et al., 2108.13264, section 4 (stratified bootstrap; tasks are strata, runs are drawn).
    *Differs:* a run there is one score, here the scores of one search under all settings; they draw n of n.
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

    @property
    def unknown(self) -> Bool[np.ndarray, " methods"]:
        """Methods whose noise is unknown, and with it their intervals: searched once on some benchmark."""
        if self.over == "benchmarks":
            return np.zeros(len(self.cube.methods), dtype=bool)
        return np.asarray((self.cube.present.sum(-1) < 2).any(1))

    @cached_property
    def benchmark_shares(self) -> Float[np.ndarray, "resamples benchmarks"]:
        """The share of every benchmark in a resample, where benchmarks are drawn: of a stratum all or none."""
        drawn = self._drawn(len(self.cube.weights), self._generator(0))[:, list(self.cube.strata)]
        return np.asarray(drawn / drawn.sum(1, keepdims=True))

    def shares(self, method: int) -> Float[np.ndarray, "resamples benchmarks searches"]:
        """The share of every search of a method in its benchmark, the same numbers at every call."""
        present, equal = self.cube.present[method], self.cube.shares[method]
        if self.over == "benchmarks":
            return np.asarray(self.benchmark_shares[:, :, None] * len(present) * equal)
        generator = self._generator(1 + method)
        drawn = np.repeat(equal[None], self.number, axis=0)
        strata = self.cube.strata
        for b, here in enumerate(present):
            if (first := strata.index(strata[b])) < b:
                drawn[:, b] = drawn[:, first]
            elif (count := int(here.sum())) > 1:
                drawn[:, b, here] = self._drawn(count, generator)
        return drawn

    @cached_property
    def cells(self) -> Float[np.ndarray, "resamples methods benchmarks settings"]:
        """Cell means of every resample; only the measured ones (one resample) if benchmarks are drawn."""
        cube = self.cube
        if self.over == "benchmarks":
            return cube.cells[None]
        result = np.empty((self.number, *cube.cells.shape))
        for m in range(len(cube.methods)):
            # Deviations from the cell's mean, so that equal scores stay equal.
            centre = np.nan_to_num(cube.cells[m])
            values = np.nan_to_num(cube.scores[m] - centre[:, :, None])
            moved = self.shares(m).transpose(1, 0, 2) @ values.transpose(0, 2, 1)
            result[:, m] = (moved + centre[:, None]).transpose(1, 0, 2)
        result[:, cube.counts == 0] = np.nan
        return result

    def interval(self, samples: Float[np.ndarray, " resamples *n"]) -> Float[np.ndarray, " 2 *n"]:
        """The percentile interval of every element; NaN where no resample has a value, or nothing can be drawn."""
        tail = (1 - self.confidence) / 2
        if len(samples) < 2 or (self.over == "benchmarks" and len(self.cube.weights) < FEWEST):
            return np.full((2, *samples.shape[1:]), np.nan)
        nothing = np.isnan(samples).all(0)
        bounds = np.nanquantile(np.where(nothing, 0.0, samples), [tail, 1 - tail], axis=0)
        return np.where(nothing, np.nan, bounds)

    def of_methods(self, samples: Float[np.ndarray, "resamples methods"]) -> Float[np.ndarray, "2 methods"]:
        """The interval of a number per method, NaN where its noise is unknown."""
        return np.where(self.unknown, np.nan, self.interval(samples))

    def over_benchmarks(
        self, values: Float[np.ndarray, " resamples benchmarks *n"]
    ) -> Float[np.ndarray, " resamples *n"]:
        """The mean over the benchmarks in every resample; ``values`` has one resample if benchmarks are drawn."""
        if self.over != "benchmarks":
            return mean(values, 1)
        flat = values[0].reshape(values.shape[1], -1)
        there = ~np.isnan(flat)
        total, whole = self.benchmark_shares @ np.where(there, flat, 0.0), self.benchmark_shares @ there
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = np.where(whole > 0, total / whole, np.nan)
        return np.asarray(drawn.reshape(-1, *values.shape[2:]))

    def _drawn(self, count: int, generator: np.random.Generator) -> Float[np.ndarray, "resamples count"]:
        times = generator.multinomial(max(count - 1, 1), np.full(count, 1 / count), size=self.number)
        return np.asarray(times / max(count - 1, 1))

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])
