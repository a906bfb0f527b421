"""Scores as one array over methods, benchmarks, settings and searches, and what of them can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from archgrad.bench.statistics.results import Results
from archgrad.console import natural_order
from archgrad.errors import ArchgradError

LISTED = 6  # names that a remark gives before it only counts
DIGITS = 9  # scores that differ by less are equal, so that the order of a sum makes no difference


@dataclass(frozen=True, eq=False)
class Cube:
    """``scores[m, b, h, s]``: method m on benchmark b under setting h, search s; NaN where there is no result.

    Scores are in % where they are shares. More is better: where it is less, ``sign`` is −1, and all numbers here are
    negated until `shown`.
    Searches are exchangeable: s numbers those of one method and benchmark. The same s elsewhere is unrelated, except
    within a stratum: benchmarks that score the very same searches, as the columns of a table do. ``strata``: that of
    each benchmark, numbered from 0.
    Several trainings of one search are averaged, since they share its genotype. Only where nothing was searched twice
    are trainings the replicates (``replicates`` says which). ``remarks``: what was averaged or left out.
    """

    methods: tuple[str, ...]
    benchmarks: tuple[str, ...]
    settings: tuple[str, ...]
    scores: Float[np.ndarray, "methods benchmarks settings searches"]
    strata: tuple[int, ...]
    replicates: str = "searches"
    remarks: tuple[str, ...] = ()
    sign: int = 1

    def shown(self, values: Any) -> Any:
        """Scores, or means of them, in the metric's own sign."""
        return self.sign * values + 0.0  # no −0

    @classmethod
    def of(cls, results: Results) -> Cube:
        """All results that have a score."""
        frame = results.frame
        done = frame[frame.score.notna()]
        remarks = []
        if lost := len(frame) - len(done):
            failed = frame[frame.score.isna()].groupby("method").size()
            each = ", ".join(f"{method} {count}" for method, count in failed.items())
            remarks.append(f"{lost:,} of {len(frame):,} results have no score and are left out ({each}).")
        if not len(done):
            raise ArchgradError(f"{results.title}: nothing has a score yet, there is nothing to report")
        axes = [natural(done[name].unique()) for name in ("method", "benchmark")]
        described = [name for name in results.settings if name in set(done.setting)]
        axes.append([*described, *natural(set(done.setting) - set(described))])
        cell = ["method", "benchmark"]
        searched_twice = bool((done.groupby(cell).seed.nunique() > 1).any())
        trained_twice = bool(done.duplicated([*cell, "setting", "seed"]).any())
        replicate = "seed" if searched_twice or not trained_twice else "training_seed"
        if searched_twice and trained_twice:
            remarks.append("Several trainings of one search are averaged: they share its genotype.")
        places = [pd.Categorical(done[n], a).codes for n, a in zip((*cell, "setting"), axes, strict=True)]
        run = done.groupby(cell)[replicate].rank("dense").to_numpy().astype(np.int64) - 1
        shape = (*map(len, axes), int(run.max()) + 1)
        index = np.ravel_multi_index((*(place.astype(np.int64) for place in places), run), shape)
        size = int(np.prod(shape))
        count = np.bincount(index, minlength=size)
        total = np.bincount(index, weights=results.merit[done.index].to_numpy(), minlength=size)
        scores = np.where(count, total / np.maximum(count, 1), np.nan).reshape(shape)
        replicates = "searches" if replicate == "seed" else "trainings"
        methods, benchmarks, settings = (tuple(axis) for axis in axes)
        strata = _strata(done, benchmarks) if replicate == "seed" else tuple(range(len(benchmarks)))
        if len(set(strata)) < len(strata):
            shared = [name for name, stratum in zip(benchmarks, strata, strict=True) if strata.count(stratum) > 1]
            remarks.append(f"{listed(shared)} score the same searches, each of which counts as one.")
        sign = 1 if results.reading.higher_is_better else -1
        return cls(methods, benchmarks, settings, scores, strata, replicates, tuple(remarks), sign)

    @cached_property
    def cells(self) -> Float[np.ndarray, "methods benchmarks settings"]:
        """Means over the searches."""
        return np.round(mean(self.scores, -1), DIGITS)

    @cached_property
    def spread(self) -> Float[np.ndarray, "methods benchmarks settings"]:
        """Sample standard deviations (n − 1) over the searches, NaN for a single one."""
        return deviation(self.scores, -1)

    @cached_property
    def counts(self) -> Int[np.ndarray, "methods benchmarks settings"]:
        """How many searches have a score."""
        return np.asarray((~np.isnan(self.scores)).sum(-1))

    @cached_property
    def runs(self) -> Float[np.ndarray, "methods benchmarks searches"]:
        """Every search as the mean over the settings, NaN unless it was trained under all that are compared."""
        wanted = np.any(self.counts > 0, axis=0)[None, :, :, None]
        values = np.where(wanted, self.scores, 0.0).sum(2) / np.maximum(wanted.sum(2), 1)
        return np.asarray(np.round(values, DIGITS))

    @cached_property
    def weights(self) -> Float[np.ndarray, " strata"]:
        """The share of every stratum in the benchmarks."""
        return np.bincount(self.strata) / len(self.strata)

    def by_stratum(self, values: Float[np.ndarray, "n benchmarks *more"]) -> Float[np.ndarray, "n strata *more"]:
        """The mean over the benchmarks of every stratum, of what is there."""
        strata = np.array(self.strata)
        return np.stack([mean(values[:, strata == stratum], 1) for stratum in range(len(self.weights))], 1)

    @property
    def independent(self) -> float:
        """How many benchmarks a mean over all is worth: 1/Σ w² of the strata, their number where all are as large.

        *Source:* Kish, Survey Sampling (1965), section 11.7 (effective sample size).
        """
        return float(1 / (self.weights**2).sum())

    @cached_property
    def present(self) -> Bool[np.ndarray, "methods benchmarks searches"]:
        """Which searches there are."""
        return np.asarray(~np.isnan(self.scores).all(2))

    @cached_property
    def shares(self) -> Float[np.ndarray, "methods benchmarks searches"]:
        """The share of every search in its benchmark: all the same, together 1."""
        return np.asarray(self.present / np.maximum(self.present.sum(-1, keepdims=True), 1))

    @property
    def replicated(self) -> bool:
        """Whether at least half of the methods' benchmarks were searched (or trained) more than once."""
        return bool(np.median(self.present.sum(-1)) >= 2)

    def blocks(self, how: str = "mean") -> Float[np.ndarray, "benchmarks methods"]:
        """A score per benchmark and method: the mean over the settings, or the best setting's."""
        return summary(self.cells, how).T

    def independent_blocks(self, how: str = "mean") -> Float[np.ndarray, "strata methods"]:
        """The same per stratum: what tests over benchmarks take for independent."""
        return np.asarray(np.round(self.by_stratum(self.blocks(how)[None])[0], DIGITS))

    def order(self, methods: Sequence[int] | Int[np.ndarray, " methods"]) -> Cube:
        """The same with the methods in another order, or some of them."""
        chosen = [int(m) for m in methods]
        return replace(self, methods=tuple(self.methods[m] for m in chosen), scores=self.scores[chosen])

    def compared(self) -> Cube:
        """What can be compared: searches that were all trained under the same settings of a benchmark.

        Left out are a method that lacks more than half of the benchmarks' settings, then of every benchmark the
        settings under which no search of some remaining method was trained together with the others, then the searches
        that lack a setting. A mean over the settings is then one over the same settings for all methods and searches.
        """
        there: Bool[np.ndarray, "methods benchmarks settings searches"] = ~np.isnan(self.scores)
        have: Bool[np.ndarray, "methods benchmarks settings"] = np.asarray(there.any(-1))
        kept = _kept(have)
        complete = np.stack([_common(there[kept, b]) for b in range(len(self.benchmarks))])
        whole = np.asarray((there | ~complete[None, :, :, None]).all(2))
        for stratum in set(self.strata):
            members = np.array(self.strata) == stratum
            whole[:, members] = whole[:, members].all(1, keepdims=True)
        remarks = (*self.remarks, *self._left_out(kept, complete, whole))
        rows, columns = np.asarray(complete.any(1)), np.asarray(complete.any(0))
        used = complete[None, :, :, None] & whole[:, :, None]
        scores = np.where(used, self.scores, np.nan)[kept][:, rows][:, :, columns]
        result = replace(
            self,
            methods=tuple(self.methods[m] for m in kept),
            benchmarks=tuple(name for name, here in zip(self.benchmarks, rows, strict=True) if here),
            settings=tuple(name for name, here in zip(self.settings, columns, strict=True) if here),
            scores=scores,
            strata=_numbered([s for s, here in zip(self.strata, rows, strict=True) if here]),
        )
        return replace(result, remarks=(*remarks, *result._singles()))

    def _left_out(
        self,
        kept: Sequence[int],
        complete: Bool[np.ndarray, "benchmarks settings"],
        whole: Bool[np.ndarray, "methods benchmarks searches"],
    ) -> list[str]:
        """What is to be said of methods, settings and searches that are not compared."""
        there: Bool[np.ndarray, "methods benchmarks settings searches"] = ~np.isnan(self.scores)
        have: Bool[np.ndarray, "methods benchmarks settings"] = np.asarray(there.any(-1))
        planned = np.asarray(have.any(0))
        remarks = []
        for m in sorted(set(range(len(self.methods))) - set(kept)):
            held = f"{int(have[m].sum())} of {int(planned.sum())}"
            remarks.append(f"{self.methods[m]} is left out of the comparisons: it has {held} benchmarks' settings.")
        if (lost := planned & ~complete).any():
            names = [f"{self.benchmarks[b]} / {self.settings[h]}" for b, h in np.argwhere(lost).tolist()]
            every = np.asarray((there | ~planned[None, :, :, None]).all((2,)).any(-1))  # some search has all settings
            lacking = [self.methods[m] for m in kept if not every[m][lost.any(1)].all()]
            remarks.append(
                f"{len(names)} of {int(planned.sum())} benchmarks' settings are left out of the comparisons since not "
                f"all methods have them ({listed(lacking)} lack some): {listed(names)}."
            )
        left = (there & complete[None, :, :, None]).any(2) & ~whole
        once = [self.strata.index(stratum) for stratum in dict.fromkeys(self.strata)]  # of a search that counts once
        if number := int(left[kept][:, once].sum()):
            names = [self.methods[m] for m in kept if left[m].any()]
            remarks.append(
                f"{self.replicates.capitalize()} without results under all compared settings are left out of the "
                f"comparisons: {number:,} of {int(self.present[kept][:, once].sum()):,} ({listed(names)})."
            )
        return remarks

    def _singles(self) -> list[str]:
        """What is to be said about methods that were not repeated."""
        number = self.present.sum(-1)
        if number.max() < 2:
            return ["Nothing was repeated: the noise of a search and of a training is unknown."]
        single = [self.methods[m] for m in np.flatnonzero((number < 2).any(1))]
        if not single:
            return []
        what = "search" if self.replicates == "searches" else "training"
        return [
            f"{listed(single)}: a single {what} on some benchmarks, whose noise is unknown. There are no intervals for "
            "them, and those of others count it as none."
        ]


def _strata(done: pd.DataFrame, benchmarks: Sequence[str]) -> tuple[int, ...]:
    """Benchmarks score the same searches if a method and seed that both have always have the same genotype."""
    searches = [_genotypes(done[done.benchmark == name]) for name in benchmarks]
    strata: list[int] = []
    for number, mine in enumerate(searches):
        alike = [s for s, theirs in zip(strata, searches, strict=False) if _are_the_same(mine, theirs)]
        strata.append(alike[0] if alike else number)
    return _numbered(strata)


def _genotypes(done: pd.DataFrame) -> dict[tuple[str, int], str]:
    """(method, seed) → genotype, empty where it is unknown or not one."""
    each = done.groupby(["method", "seed"]).genotype
    return {
        key: text if one else ""
        for key, text, one in zip(each.first().index, each.first(), each.nunique() == 1, strict=True)
    }


def _are_the_same(mine: Mapping[tuple[str, int], str], theirs: Mapping[tuple[str, int], str]) -> bool:
    shared = mine.keys() & theirs.keys()
    return bool(shared) and all(mine[key] and mine[key] == theirs[key] for key in shared)


def _numbered(keys: Sequence[Any]) -> tuple[int, ...]:
    """Equal keys get the same number, from 0 in the order of their first places."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return tuple(numbers[key] for key in keys)


def natural(names: Iterable[Any]) -> list[str]:
    """Names in the order of people: 2 before 10."""
    return sorted(map(str, names), key=natural_order)


def listed(names: Sequence[str]) -> str:
    """The names, or the first ones and how many more."""
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _kept(have: Bool[np.ndarray, "methods benchmarks settings"]) -> list[int]:
    """Methods that have half of the benchmarks' settings, without those that have none in common with the others."""
    kept = [m for m, mine in enumerate(have) if mine[have.any(0)].mean() >= 0.5] or list(range(len(have)))
    while not have[kept].all(0).any() and len(kept) > 1:
        kept.remove(min(kept, key=lambda m: int(have[m].sum())))
    return kept


def _common(there: Bool[np.ndarray, "methods settings searches"]) -> Bool[np.ndarray, " settings"]:
    """Settings under all of which every method has trained at least one search, many of them."""
    chosen = there.any(-1).all(0)
    for mine in there:
        together = mine[chosen].sum(0)
        if together.max(initial=0) < chosen.sum():
            chosen = chosen & mine[:, together.argmax()]
    return np.asarray(chosen)


def summary(cells: Float[np.ndarray, "*batch settings"], how: str) -> Float[np.ndarray, " *batch"]:
    """``mean`` or ``best`` over the settings."""
    if how not in ("mean", "best"):
        raise ArchgradError(f"a benchmark's score is the mean or the best over its settings, got {how!r}")
    if how == "mean":
        return np.round(mean(cells, -1), DIGITS)
    best = np.where(np.isnan(cells), -np.inf, cells).max(-1)
    return np.round(np.where(np.isfinite(best), best, np.nan), DIGITS)


def mean(values: Float[np.ndarray, "*batch n"], axis: int) -> Float[np.ndarray, "*batch n"]:
    """The mean of what is there, NaN of nothing."""
    there = ~np.isnan(values)
    number = there.sum(axis)
    total = np.where(there, values, 0.0).sum(axis)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)


def deviation(values: Float[np.ndarray, "*batch n"], axis: int) -> Float[np.ndarray, "*batch n"]:
    """The sample standard deviation (n − 1) of what is there, NaN of less than two."""
    there = ~np.isnan(values)
    number = there.sum(axis)
    centred = np.where(there, values - np.expand_dims(mean(values, axis), axis), 0.0)
    return np.where(number > 1, np.sqrt((centred**2).sum(axis) / np.maximum(number - 1, 1)), np.nan)
