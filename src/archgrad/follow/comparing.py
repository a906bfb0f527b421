"""Runs side by side: the settings that differ, what was found, and whether repetitions tell them apart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from archgrad.console import printable
from archgrad.errors import ArchgradError
from archgrad.follow.history import Curve, History, curves
from archgrad.foreign import files
from archgrad.reading import Reading
from archgrad.report.measure import Measure
from archgrad.rundir import is_run
from archgrad.summary import Score, Summary, summaries

if TYPE_CHECKING:
    from archgrad.bench.statistics import Pair
    from archgrad.report import RunData

SHOWN = 8
"""Runs whose curves and cells are shown: there are no more colours that can be told apart."""

TESTED = 12
"""Groups that are tested against each other, the best ones."""

ABSENT = "–"
SEEDS = frozenset({"seed"})
"""Settings that tell repetitions apart, and nothing else."""


@dataclass(frozen=True)
class Group:
    """Runs of the same settings but for the seed; ``scores``: of those that are compared, one per seed."""

    name: str
    runs: tuple[Summary, ...]
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Of the scores."""
        return fmean(self.scores)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation (n − 1) of the scores, None of a single one."""
        return stdev(self.scores) if len(self.scores) > 1 else None


class Comparison:
    """Runs, of which everything is said in their order. ``remarks``: what a reader must know."""

    def __init__(self, runs: Sequence[Summary]):
        if not runs:
            raise ArchgradError("compare: there are no runs to compare")
        self.runs = list(runs)

    @classmethod
    def of(cls, places: Iterable[Path | str]) -> Comparison:
        """Of run directories; any other directory stands for all runs below it."""
        chosen = {run.directory: run for place in places for run in _runs(Path(place))}
        return cls(list(chosen.values()))

    def label(self, run: Summary) -> str:
        """What a run is called: the name of its directory where no other run has it, else the path."""
        name = printable(run.directory.name)
        return name if self._labels[name] == 1 else printable(str(run.directory))

    @cached_property
    def _labels(self) -> Counter[str]:
        return Counter(printable(run.directory.name) for run in self.runs)

    @cached_property
    def settings(self) -> dict[str, list[str]]:
        """Setting → its value in every run, of those that are not the same in all."""
        names = dict.fromkeys(name for run in self.runs for name in run.settings)
        every = {name: [run.settings.get(name, ABSENT) for run in self.runs] for name in names}
        return {name: values for name, values in every.items() if len(set(values)) > 1}

    # Repetitions

    @cached_property
    def kind(self) -> Score | None:
        """One of the scores that are compared: those on the test set where there are two, else the most frequent."""
        known = [run.score for run in self.runs if run.score]
        if not known:
            return None
        frequent = Counter((score.on == "test", score.on, score.metric) for score in known)
        _, on, metric = max(frequent, key=lambda kind: (kind[0] and frequent[kind] > 1, frequent[kind]))
        return next(score for score in known if (score.on, score.metric) == (on, metric))

    @cached_property
    def groups(self) -> list[Group]:
        """Runs of the same settings but for the seed, the best group first."""
        found: dict[tuple[tuple[str, str], ...], list[Summary]] = {}
        differing = [name for name in self.settings if name not in SEEDS]
        for run in self.runs:
            found.setdefault(tuple((name, run.settings.get(name, ABSENT)) for name in differing), []).append(run)
        names = _names(found)
        made = [Group(names[key], tuple(runs), self._scores(runs)) for key, runs in found.items()]
        sign = 1 if self.kind is None or self.kind.higher_is_better else -1
        return sorted(made, key=lambda group: -sign * group.mean if group.scores else float("inf"))

    def _scores(self, runs: Iterable[Summary]) -> tuple[float, ...]:
        """One per seed: a run with the settings and the seed of another one is the same experiment."""
        found: dict[object, float] = {}
        for run in runs:
            if run.state == "finished" and run.score and self._comparable(run.score):
                found.setdefault(run.directory if run.seed is None else run.seed, run.score.value)
        return tuple(found.values())

    def _comparable(self, score: Score) -> bool:
        return self.kind is not None and (score.on, score.metric) == (self.kind.on, self.kind.metric)

    @cached_property
    def every_repeated(self) -> list[Group]:
        """The groups of several seeds."""
        return [group for group in self.groups if len(group.scores) > 1]

    @cached_property
    def repeated(self) -> list[Group]:
        """Those of them that are tested against each other."""
        return self.every_repeated[:TESTED]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Every two repeated groups, by the statistics of campaigns; empty where no two were repeated."""
        if self.kind is None or len(self.repeated) < 2 or len(self._data) > 1:
            return []
        from archgrad.bench.statistics import Bootstrap, Cube, pairs
        from archgrad.bench.statistics.results import Results

        percent = 100 if self.kind.share else 1
        rows = [
            {"method": group.name, "benchmark": "these runs", "setting": "", "seed": seed, "score": percent * score}
            for group in self.repeated
            for seed, score in enumerate(group.scores)
        ]
        cube = Cube.of(Results.of(rows, reading=_reading(self.kind))).compared()
        order = [cube.methods.index(group.name) for group in self.repeated]
        cube = cube.order(order)
        return pairs(cube, Bootstrap(cube))

    @cached_property
    def _data(self) -> set[str]:
        return {run.data for group in self.repeated for run in group.runs}

    @cached_property
    def remarks(self) -> list[str]:
        """What a reader must know about the scores."""
        remarks = []
        others = [run for run in self.runs if run.score and not self._comparable(run.score)]
        if self.kind and others:
            remarks.append(
                f"Compared is {self.kind.label}; {len(others)} of {len(self.runs)} runs have another score only."
            )
        same = [run for run in self.runs if run.score and self._comparable(run.score)]
        finished = [run for run in same if run.state == "finished"]
        if unfinished := len(same) - len(finished):
            remarks.append(f"{unfinished} of {len(self.runs)} runs have not finished and are left out of the means.")
        if twins := len(finished) - sum(len(group.scores) for group in self.groups):
            remarks.append(
                f"{twins} of {len(self.runs)} runs have the settings and the seed of another, and count once."
            )
        if len(self._data) > 1:
            remarks.append("The groups are of different data: their scores cannot be compared.")
        elif len(self.repeated) < 2:
            remarks.append(
                "No two groups of runs that differ in more than their seed were repeated: nothing can be said about "
                "chance. Two or more seeds of each would tell."
            )
        if len(self.every_repeated) > TESTED:
            remarks.append(f"Of {len(self.every_repeated)} repeated groups the best {TESTED} are tested.")
        return remarks

    def mean_of(self, group: Group) -> str:
        """The mean of a group's scores and their deviation, for people."""
        if self.kind is None or not group.scores:
            return ABSENT
        return Measure(_reading(self.kind), self.kind.metric).mean(group.mean, group.deviation)

    # Details of the first runs

    @cached_property
    def shown(self) -> list[Summary]:
        """The runs whose curves and cells are shown: all of few, the best of many."""
        if len(self.runs) <= SHOWN:
            return self.runs
        best = sorted(self.runs, key=lambda run: -run.score.merit if run.score else float("inf"))
        chosen = {run.directory for run in best[:SHOWN]}
        return [run for run in self.runs if run.directory in chosen]

    @cached_property
    def curves(self) -> list[list[Curve]]:
        """Of every shown run."""
        found = []
        for run in self.shown:
            history = History(run.directory)
            history.update()
            found.append(curves(run, history.records))
        return found

    @cached_property
    def details(self) -> list[RunData]:
        """The shown runs whole."""
        from archgrad.follow.whole import whole

        return [whole(run.directory) for run in self.shown]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "runs": [run.record() for run in self.runs],
            "settings": self.settings,
            "compared": self.kind.label if self.kind else None,
            "groups": [
                {
                    "name": group.name,
                    "runs": [printable(str(run.directory)) for run in group.runs],
                    "scores": list(group.scores),
                    "mean": group.mean if group.scores else None,
                    "deviation": group.deviation,
                }
                for group in self.groups
            ],
            "pairs": [asdict(pair) for pair in self.pairs],
            "curves": {
                printable(str(run.directory)): {curve.label: curve.values for curve in found}
                for run, found in zip(self.shown, self.curves, strict=True)
            },
            "genotypes": {printable(str(data.directory)): data.text for data in self.details},
            "remarks": self.remarks,
        }


def _runs(place: Path) -> list[Summary]:
    if files.is_directory(place) and is_run(os.listdir(place)) and (run := Summary.read(place)).state:
        return [run]
    if not (below := summaries(place)):
        raise ArchgradError(f"compare: {printable(str(place))} is no run, and there is none below it")
    return below


def _names(groups: Mapping[tuple[tuple[str, str], ...], Sequence[Summary]]) -> dict[Any, str]:
    """What to call groups of runs: by their methods where these tell them apart, else by the settings that differ."""
    methods = {key: runs[0].method or runs[0].kind for key, runs in groups.items()}
    if len(set(methods.values())) == len(groups):
        return methods
    names: dict[Any, str] = {}
    for key in groups:
        told = ", ".join(f"{name.rsplit('.', 1)[-1]} {value}" for name, value in key[:3]) or methods[key]
        names[key] = told if told not in names.values() and len(told) < 80 else f"group {len(names) + 1}"
    return names


def _reading(score: Score) -> Reading:
    return Reading(task="", primary=score.metric, shares=()) if score.on == "proxy" else score.reading
