"""What a run directory holds, read so that a missing or damaged piece never hides the others."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from archgrad import spaces
from archgrad.comparison import BESIDE
from archgrad.data.load import READING
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.reading import Reading
from archgrad.report.measure import Measure
from archgrad.rundir import ALPHAS as ALPHAS
from archgrad.rundir import CONFIG, GENOTYPE, METRICS, RESULT, TRAININGS
from archgrad.runs import Run
from archgrad.standing import Standing
from archgrad.summary import method_of, planned_of, space_of, tested
from archgrad.summary import number as number

T = TypeVar("T")
AlphaHistory = np.ndarray[Any, np.dtype[np.float64]]  # [epochs + 1, edges, ops]


@dataclass(frozen=True)
class GroupShape:
    """The edges (source, target) of a group, its candidates, and how many of its states are inputs."""

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    inputs: int

    @classmethod
    def of(cls, data: Any) -> GroupShape | None:
        """From the entry in ``result.json``; None if that is damaged."""
        try:
            edges = tuple((int(source), int(target)) for source, target in data["edges"])
            return cls(tuple(str(name) for name in data["operations"]), edges, int(data.get("inputs", 1)))
        except (AttributeError, KeyError, TypeError, ValueError):
            return None


@dataclass(frozen=True)
class RunFiles:
    """The files that searches and trainings have in common; ``problems``: file → what is wrong with it."""

    directory: Path
    config: dict[str, Any]
    history: list[dict[str, Any]]
    result: dict[str, Any]
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.directory.name

    @cached_property
    def reading(self) -> Reading:
        """How the metrics of the run's task are read."""
        return Reading.of(self.config.get("task"))

    @cached_property
    def primary(self) -> Measure:
        """The metric that counts."""
        return Measure(self.reading, self.reading.primary)


@dataclass(frozen=True)
class Training(RunFiles):
    """A settled network that was trained: the found one, a random one, or another of the user's."""

    role: str | None = None
    """Of a network that another run trained: ``beside``, which another search found, or ``random``."""

    @property
    def kind(self) -> str:
        """``found``, ``beside``, ``random`` or ``other``."""
        own = "found" if self.name == "found" else "random" if self.name.startswith("random") else "other"
        return self.role or own

    @property
    def way(self) -> dict[str, Any]:
        """How it was trained: only networks that were trained the same way can be compared."""
        names = ("data", "recipe", "validation", "mixed_precision", "space_fields", "inherit", "image_size", *READING)
        return {name: self.config[name] for name in names if self.config.get(name) is not None}

    @property
    def score(self) -> float | None:
        """The primary metric on the test set, once the training is done."""
        return tested(self.result, self.reading)

    @property
    def validation(self) -> float | None:
        """The primary metric on what the training held out to choose its best epoch; None where that is nothing."""
        held_out = self.result.get("validation")
        return tested({"test": held_out}, self.reading) if held_out else None

    @property
    def merit(self) -> float:
        """The same such that more is better; of a network without a score the least."""
        return -math.inf if self.score is None else self.reading.merit(self.score)

    @property
    def test_inputs(self) -> float | None:
        """How many inputs the test set has."""
        test = self.result.get("test")
        count = number(test.get("count")) if isinstance(test, dict) else None
        return count if count is not None and count >= 1 else None

    @property
    def genotype(self) -> str:
        """Its notation, empty if unknown."""
        return str(self.result.get("genotype") or self.config.get("genotype") or "")

    def value(self, name: str) -> float | None:
        """A number of the result or, failing that, of the settings."""
        found = number(self.result.get(name))
        return number(self.config.get(name)) if found is None else found


@dataclass(frozen=True)
class RunData(RunFiles):
    """A search run and the trainings in it."""

    alphas: dict[str, AlphaHistory] = field(default_factory=dict)
    genotype_file: Any = None
    trainings: list[Training] = field(default_factory=list)
    beside: list[Training] = field(default_factory=list)
    """Networks that other runs trained beside the found one, of which this run knows the results only."""

    @classmethod
    def read(cls, directory: Path | str) -> RunData:
        """Read what is there; ArchgradError if the directory is no run at all."""
        directory = Path(directory).resolve()
        if not any(os.path.isfile(directory / name) for name in (CONFIG, METRICS, RESULT)):
            raise ArchgradError(f"{directory} is not a run directory: it has no {CONFIG}")
        run, common = _files(directory)
        trained = directory / TRAININGS
        folders = sorted(folder for folder in trained.iterdir() if folder.is_dir()) if trained.is_dir() else []
        return cls(
            **common,
            alphas=_attempt(common["problems"], run, ALPHAS, lambda: _alphas(run.read_arrays(ALPHAS)), {}),
            genotype_file=_attempt(common["problems"], run, GENOTYPE, lambda: run.read_json(GENOTYPE), None),
            trainings=[Training(**_files(folder)[1]) for folder in folders],
            beside=_attempt(common["problems"], run, BESIDE, lambda: _beside(run.read_json(BESIDE)), []),
        )

    @property
    def finished(self) -> bool:
        """Whether the search has written its result."""
        return bool(self.result)

    @property
    def space(self) -> str:
        """The name of the space, empty if unknown."""
        return space_of(self.config, self.result)

    @cached_property
    def _space(self) -> spaces.Space | None:
        """The space that was searched, if it is one of the library's."""
        try:
            return spaces.recorded({**self.config, "space": self.space})
        except ArchgradError:
            return None

    @property
    def method(self) -> str:
        """The name of the method, empty if unknown."""
        return method_of(self.config, self.result)

    @property
    def by_proxies(self) -> bool:
        """Whether untrained networks were scored: such a run has neither alphas nor epochs."""
        return bool(self.config.get("proxies")) or any(isinstance(r.get("scores"), dict) for r in self.history)

    @property
    def counted(self) -> str:
        """What every record of the history is about."""
        return "architectures scored" if self.by_proxies else "epoch"

    @property
    def planned(self) -> float | None:
        """How many records the history is meant to have."""
        return planned_of(self.config)

    @property
    def typed(self) -> str:
        """The run as one types it where one is: below the current directory, or else from the root."""
        below = os.path.relpath(self.directory)
        return shlex.quote(str(self.directory) if below.startswith("..") else below)

    @cached_property
    def groups(self) -> dict[str, GroupShape]:
        """The groups as the result describes them; before there is one, those of a space known by name."""
        described = self.result.get("groups")
        if isinstance(described, dict):
            shapes = {str(name): GroupShape.of(data) for name, data in described.items()}
            return {name: shape for name, shape in shapes.items() if shape is not None}
        groups = () if self._space is None else self._space.groups.values()
        return {
            g.name: GroupShape(
                g.operations, tuple((e.source, e.target) for e in g.edges), min(e.target for e in g.edges)
            )
            for g in groups
        }

    @cached_property
    def text(self) -> str:
        """The found genotype's notation or, in a run in progress, the latest one; empty if there is none yet."""
        if isinstance(self.genotype_file, dict) and self.genotype_file.get("text"):
            return str(self.genotype_file["text"])
        known = [self.result.get("genotype"), *(record.get("genotype") for record in reversed(self.history))]
        return next((str(text) for text in known if text), "")

    @cached_property
    def genotype(self) -> Genotype | None:
        """The found genotype or, in a run in progress, the latest one; None where it cannot be told."""
        try:
            if self.genotype_file is not None:
                return Genotype.from_dict(self.genotype_file)
            return Genotype.from_json(self.text) if self._space is None else self._space.parse(self.text)
        except ArchgradError:
            return None

    @property
    def found(self) -> Training | None:
        """The training of the found genotype, if it has a score."""
        return next((t for t in self.trainings if t.kind == "found" and t.score is not None), None)

    @cached_property
    def compared(self) -> list[Training]:
        """The found network, those of other searches and random ones, as far as they were trained like the found one.

        Random ones of another run stand in only where this one has none.
        """
        if self.found is None:
            return []
        own = [t for t in self.trainings if t.kind == "random"]
        others = [t for t in self.beside if t.kind == "beside" or not own]
        alike = [t for t in (*others, *own) if t.score is not None and t.way == self.found.way]
        return [self.found, *alike]

    @property
    def random(self) -> list[Training]:
        """The random networks with which the found one can be compared."""
        return [t for t in self.compared if t.kind == "random"]

    @cached_property
    def standing(self) -> Standing | None:
        """The scores of the found networks, this run's first, among those of random ones; None where either lack."""
        found = tuple(t.score for t in self.compared if t.kind != "random" and t.score is not None)
        random = tuple(t.score for t in self.random if t.score is not None)
        return Standing(found, random, self.primary.higher_is_better) if found and random else None


def _beside(recorded: Any) -> list[Training]:
    """What a run was told of other runs; nothing of them is read, wherever their names may lead."""
    try:
        return [
            Training(Path(str(name)), dict(entry["config"]), [], dict(entry["result"]), role=role)
            for part, role in (("found", "beside"), ("random", "random"))
            for name, entry in recorded[part].items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArchgradError(f"{BESIDE} does not hold networks by name, each with config and result") from error


def _files(directory: Path) -> tuple[Run, dict[str, Any]]:
    problems: dict[str, str] = {}
    try:
        run = Run.open(directory)
    except ArchgradError as error:
        run = Run(directory, {}, None)
        problems[CONFIG] = str(error)
    nothing: list[dict[str, Any]] = []
    empty: dict[str, Any] = {}
    history = _attempt(problems, run, METRICS, run.history, nothing)
    result = _attempt(problems, run, RESULT, lambda: _mapping(run.read_json(RESULT), directory / RESULT), empty)
    records = [record for record in history if isinstance(record, dict)]
    return run, {
        "directory": directory,
        "config": run.config,
        "history": records,
        "result": result,
        "problems": problems,
    }


def _attempt(problems: dict[str, str], run: Run, name: str, read: Callable[[], T], otherwise: T) -> T:
    """What ``read`` gives; where the file is not there yet, or damaged (which is then noted), something else."""
    if not run.has(name):
        return otherwise
    try:
        return read()
    except (ArchgradError, OSError, ValueError) as error:
        problems[name] = str(error)
        return otherwise


def _mapping(data: Any, path: Path) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ArchgradError(f"{path} is not a JSON object")
    return data


def _alphas(arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, AlphaHistory]:
    for name, array in arrays.items():
        if array.ndim != 3 or array.dtype.kind not in "fiu":
            raise ArchgradError(
                f"{ALPHAS}: group {name!r} should be numbers [epochs + 1, edges, ops], got {array.dtype} "
                f"of shape {list(array.shape)}"
            )
    return {name: array.astype(np.float64) for name, array in arrays.items()}
