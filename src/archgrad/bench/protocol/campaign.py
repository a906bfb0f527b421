"""A campaign: methods × benchmarks × seeds × training settings, as one YAML file and one directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from archgrad import methods as library
from archgrad.alpha_lr import published_settings
from archgrad.bench.protocol import suite as suites
from archgrad.bench.protocol.document import NAME, Count, Document, Whole, overlaid, require_known, validated
from archgrad.bench.protocol.store import Store
from archgrad.bench.protocol.suite import SEARCH, Suite
from archgrad.bench.protocol.unit import SEARCH_ID, TRAIN_ID, Record, Trial, Unit
from archgrad.bench.statistics.results import BASELINES
from archgrad.distributed import require_precision
from archgrad.errors import ArchgradError, unknown
from archgrad.foreign import code, layout
from archgrad.foreign.plain import read
from archgrad.rundir import clear, cut_short
from archgrad.runs import atomic_write
from archgrad.schedules import Diagnose

SNAPSHOT = "campaign.yaml"
OURS = {"records", "claims", "search", "train", "results.parquet", "report.html", "report-tables"}
"""What a campaign's directory may hold before the campaign is saved."""
STALE = 60.0
"""Seconds that no write takes: others may be saving the same campaign."""
SEEDS = 100_000
"""The most seeds of a campaign."""
IDENTITY = ("genotypes", "mixed_precision", "processes")
"""What cannot change once units have been computed, besides the suite and the methods."""
Some = Annotated[tuple[Annotated[str, BeforeValidator(str)], ...], Field(description="'all' or a list")]


class SuiteChoice(Document):
    """How the file of a campaign says which suite it is about."""

    suite: str | Path | dict[str, Any] = Field(
        default="darts_benchsuite", description="a name, a file, or the suite itself"
    )
    preset: str = Field(default="full", description="the name of a preset")
    data: dict[str, Any] | str = Field(default={}, description="a mapping or a dataset's name")
    changes: dict[str, Any] = Field(default={}, description="a mapping of parts of the suite")

    def chosen(self, path: Path) -> Suite:
        """The suite; a file may be named relative to the campaign's."""
        beside = path.parent / self.suite if isinstance(self.suite, str | Path) else path
        source = beside if beside.suffix in (".yaml", ".yml") and beside.is_file() and beside != path else self.suite
        data = {"name": self.data} if isinstance(self.data, str) else self.data
        require_known("changes.data", of_suite := self.changes.get("data") or {}, of_suite)
        return suites.changed(source, self.preset, {**self.changes, "data": {**of_suite, **data}})


class Campaign(Document):
    """What is to be computed, and where.

    ``methods``: name in the tables → what differs from the suite's settings (keys of `suite.SEARCH`, and ``method``).
    ``genotypes``: ``all`` trains what every search found; ``lowest_validation_loss`` only that of one search per
    benchmark and method, as published. ``processes`` compute a unit together. ``keep``: what stays of complete units
    besides their results. ``evaluate``: after every how many epochs searches measure their supernet, 0 only after the
    last one. ``diagnose``: every how many epochs searches look for signs of collapse, or the settings of
    `archgrad.schedules.Diagnose`.
    """

    suite: Suite
    directory: Path = Field(description="a path")
    methods: dict[str, dict[str, Any]] = Field(
        default_factory=lambda said: said["suite"].methods or said["suite"].own,
        validate_default=True,
        description="a list of names or mappings",
    )
    benchmarks: Some = Field(default="all", validate_default=True)
    seeds: tuple[Annotated[int, Field(strict=True, ge=0, lt=2**63)], ...] = Field(
        default=(0, 1, 2),
        min_length=1,
        max_length=SEEDS,
        description="a count or a list of different whole numbers",
    )
    settings: Some = Field(default="all", validate_default=True)
    genotypes: Literal["all", "lowest_validation_loss"] = "all"
    mixed_precision: str = "no"
    processes: Count = Field(default=1, description="a whole number above 0")
    keep: Literal["results", "weights", "checkpoints"] = "weights"
    checkpoint_seconds: float = Field(default=60.0, strict=True, ge=0)
    evaluate: Whole = Field(default=1, description="a number of epochs, 0 for the last one only")
    diagnose: Whole | Diagnose = Field(
        default=5, description="a number of epochs, 0 for never, or a mapping of every and eigenvalue"
    )

    @field_validator("methods", mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        return _methods(given) if isinstance(given, Iterable) and not isinstance(given, str) else given

    @field_validator("benchmarks", "settings", mode="before")
    @classmethod
    def _all(cls, given: Any, info: ValidationInfo) -> Any:
        return [each.name for each in getattr(info.data["suite"], str(info.field_name))] if given == "all" else given

    @field_validator("benchmarks", "settings")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """In the suite's order. A suite that looks scores up has no settings: then none is all."""
        known = [each.name for each in getattr(info.data["suite"], str(info.field_name))]
        for name in names:
            if name not in known:
                raise unknown(str(info.field_name)[:-1], name, known)
        if known and not names:
            raise ValueError("nothing is chosen")
        return tuple(name for name in known if name in names)

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, given: Any) -> Any:
        if type(given) is not int:
            return given
        if given > SEEDS:
            raise ArchgradError(f"seeds must be {SEEDS:,} at most")
        return range(given)

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands there twice")
        return tuple(sorted(seeds))

    @field_validator("mixed_precision", mode="before")
    @classmethod
    def _precision(cls, given: Any) -> str:
        name = "no" if given is False else given  # what YAML takes "no" for
        require_precision(name)
        return str(name)

    @cached_property
    def store(self) -> Store:
        """What has been computed."""
        return Store(self.directory)

    # Units

    def trials(self) -> Iterator[Trial]:
        """All trials, in the order in which they are worth computing: every seed completes one table."""
        for seeds in [(seed,) for seed in self.seeds] if self.genotypes == "all" else [self.seeds]:
            for benchmark in self.benchmarks:
                for method in self.methods:
                    yield Trial(benchmark, method, seeds)

    def planned(self, records: Mapping[str, Record]) -> Iterator[tuple[Trial, str, Unit | None]]:
        """Every search, and every training with its setting; its unit is None until its search is complete."""
        for trial in self.trials():
            for search in trial.searches:
                yield trial, "", search
            chosen = trial.chosen(records)
            units = trial.trainings(chosen, self.settings) if chosen else [None] * len(self.settings)
            for setting, unit in zip(self.settings, units, strict=True):
                yield trial, setting, unit

    def has(self, unit: str) -> bool:
        """Whether a text is the name of a unit that this campaign may compute; of trainings, whatever was found."""
        for name, known in ((SEARCH_ID, self.methods), (TRAIN_ID, self.settings)):
            if found := name.fullmatch(unit):
                benchmark, other, seed = found.groups()
                return benchmark in self.benchmarks and other in known and int(seed) in self._seeds
        return False

    @cached_property
    def _seeds(self) -> frozenset[int]:
        return frozenset(self.seeds)

    def __len__(self) -> int:
        pairs = len(self.benchmarks) * len(self.methods)
        trials = len(self.seeds) if self.genotypes == "all" else 1
        return pairs * (len(self.seeds) + trials * len(self.settings))

    def entry(self, method: str) -> Mapping[str, Any]:
        """What the campaign changes in a method."""
        if method not in self.methods:
            raise unknown("method of the campaign", method, self.methods)
        return self.methods[method]

    def require_all(self) -> None:
        """Compose every method for every benchmark and open the table, so that a mistake is seen before computing."""
        if (scores := self.suite.table) is not None:
            space = scores.table.space.name
            for name in self.benchmarks:
                if (family := self.suite.benchmark(name).family) != space:
                    raise ArchgradError(f"table {scores.table.name!r} is of the space {space}: {name} is of {family}")
            _ = scores.values
        self.require_methods()

    @property
    def code(self) -> list[str]:
        """The Python code that its file names: of methods, components, and data."""
        data = code.named({"data": self.suite.data.name}, functions=("data",))
        return [*code.named(self.snapshot(), functions=("method",)), *data]

    def require_trusted(self) -> None:
        """Refuse a campaign whose file names code, unless it may run."""
        code.require_trusted(self.code, str(self.directory))

    def require_methods(self) -> None:
        """Compose every method for every benchmark, but for those whose code is not run."""
        known = {*library.names(), *self.suite.methods, *self.methods}
        for name in self.suite.own:
            if name not in known:
                raise unknown("method in search.methods of the suite", name, known)
        for benchmark in self.benchmarks:
            for method, entry in self.methods.items():
                if self._is_foreign(method):
                    continue
                where = self.suite.benchmark(benchmark)
                try:
                    made = self.suite.method(method, where, entry)
                    if made.alpha_optimiser.lr == "auto":
                        published_settings(made, where.family)
                except (TypeError, ValueError) as error:
                    raise ArchgradError(f"method {method!r} for {benchmark}: {error}") from None

    def _is_foreign(self, method: str) -> bool:
        """Whether composing a method would run code that may not be run."""
        entry = self.methods[method]
        says = [entry, self.suite.search, self.suite.own.get(method), self.suite.own.get(str(entry.get("method")))]
        return bool(code.refused(code.named(says, functions=("method",))))

    # The file and the directory

    @classmethod
    def load(cls, file: Path | str) -> Campaign:
        """From a YAML file, or the directory of a campaign.

        Where the directory that the file names already holds a campaign of which something has been computed, that one
        is continued: methods, benchmarks, seeds and settings of both count. ArchgradError if the file changes what
        units would compute.
        """
        path = Path(file)
        if os.path.isdir(path):
            return cls.open(path)
        if not os.path.isfile(path):
            raise ArchgradError(f"{path}: no such campaign file")
        campaign = cls._of(read(path), path)
        if os.path.isfile(campaign.directory / SNAPSHOT):
            try:
                return cls.open(campaign.directory).extended(campaign)
            except ArchgradError:
                if campaign._begun():
                    raise
        return campaign

    def _begun(self) -> bool:
        """Whether there is anything that another file could contradict."""
        if any((self.directory / kind).exists() for kind in ("search", "train")):
            return True
        return any("problem" not in record for record in self.store.records().values())

    @classmethod
    def open(cls, directory: Path | str) -> Campaign:
        """The campaign of a directory, as it was last saved."""
        path = Path(directory) / SNAPSHOT
        if not os.path.isfile(path):
            raise ArchgradError(f"{directory} is not the directory of a campaign: it has no {SNAPSHOT}")
        stamp = path.stat()
        return _opened(path, (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino))

    @classmethod
    def _of(cls, raw: Mapping[str, Any], path: Path) -> Campaign:
        of_suite = {key: value for key, value in raw.items() if key in SuiteChoice.model_fields}
        rest = {key: value for key, value in raw.items() if key not in of_suite}
        for key in rest:
            if key not in cls.model_fields:
                raise ArchgradError(f"{path}: {unknown('key', key, {*cls.model_fields, *SuiteChoice.model_fields})}")
        with layout.expected(str(path)):
            chosen = validated(SuiteChoice, of_suite, str(path)).chosen(path)
            return validated(cls, {"directory": Path("campaigns") / path.stem, **rest, "suite": chosen}, str(path))

    def replaced(self, **changes: Any) -> Campaign:
        """The same but for some fields, which are checked as those of a file are."""
        old = {name: getattr(self, name) for name in Campaign.model_fields}
        return validated(Campaign, old | changes, str(self.directory))

    def extended(self, other: Campaign) -> Campaign:
        """Both campaigns in this one's directory; refused where they would compute the same unit differently."""
        for key in IDENTITY:
            if getattr(self, key) != getattr(other, key):
                raise ArchgradError(
                    f"{self.directory} holds a campaign with {key} {getattr(self, key)!r}, "
                    f"not {getattr(other, key)!r}: choose another directory"
                )
        _require_alike(self.directory, _identity(self.suite), _identity(other.suite))
        for name in set(self.methods) & set(other.methods):
            _require_alike(self.directory, self.methods[name], other.methods[name], f"methods.{name}")
        return self.replaced(
            suite=other.suite,  # the same but for where this machine keeps the data
            methods={**self.methods, **other.methods},
            benchmarks=(*self.benchmarks, *other.benchmarks),
            seeds={*self.seeds, *other.seeds},
            settings=(*self.settings, *other.settings),
            keep=other.keep,
            checkpoint_seconds=other.checkpoint_seconds,
            evaluate=other.evaluate,
            diagnose=other.diagnose,
        )

    def with_more(
        self, methods: Sequence[Any] = (), benchmarks: Sequence[str] = (), seeds: int = 0, settings: Sequence[str] = ()
    ) -> Campaign:
        """The campaign with further methods, benchmarks, ``seeds`` more seeds, or further settings."""
        top = max(self.seeds) + 1
        if len(self.seeds) + seeds > SEEDS or top + seeds > 2**63:
            raise ArchgradError(f"{self.directory}: {seeds:,} seeds from {top:,} on are too many: {SEEDS:,} in all")
        more = self.replaced(
            methods=methods,
            benchmarks=(*self.benchmarks, *benchmarks),
            seeds=(*self.seeds, *range(top, top + seeds)),
            settings=(*self.settings, *settings),
        )
        return self.extended(more)

    def save(self) -> None:
        """Write the campaign into its directory, whole; nothing else of the directory is touched."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            clear(self.directory, STALE)
            found = {name for name in os.listdir(self.directory) if not cut_short(name)}
        except OSError as error:
            raise ArchgradError(f"cannot write {self.directory}: {error.strerror}") from None
        if SNAPSHOT not in found and (others := sorted(found - OURS)):
            raise ArchgradError(
                f"{self.directory} holds other files ({others[0]}, …) and no campaign: choose a new or empty directory"
            )
        text = yaml.safe_dump(self.snapshot(), sort_keys=False, width=120)
        path = self.directory / SNAPSHOT
        if not path.is_file() or path.read_text() != text:
            atomic_write(path, text.encode())

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "suite": self.suite.model_dump(mode="json", exclude_unset=True),
            **self.model_dump(mode="json", exclude={"suite", "directory"}),
        }


@lru_cache(maxsize=4)
def _opened(path: Path, stamp: tuple[int, ...]) -> Campaign:
    return Campaign._of({**read(path), "directory": path.parent}, path)


def _methods(given: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """Name → what is said of the method. Without random baselines a table says nothing about what a search is worth."""
    found: dict[str, dict[str, Any]] = {}
    for item in given.items() if isinstance(given, Mapping) else given:
        if isinstance(item, tuple):
            item = {"name": item[0], **(item[1] or {})}
        entry = {"name": item} if isinstance(item, str) else dict(item) if isinstance(item, Mapping) else {}
        name = str(entry.pop("name", ""))
        if not re.fullmatch(NAME, name):
            raise ArchgradError(f"a method needs a name of letters, digits and _.()+-, got {item!r}")
        require_known(f"methods.{name}", entry, (*SEARCH, "method"))
        if name in found:
            raise ArchgradError(f"the method {name!r} is listed twice: give one of them another name")
        found[name] = entry
    return {name: found[name] for name in found if name not in BASELINES} | {b: found.get(b, {}) for b in BASELINES}


def _identity(suite: Suite) -> dict[str, Any]:
    """What of a suite decides results: not where this machine keeps data and tables, nor what it says of itself."""
    definition = {key: value for key, value in suite.definition.items() if key not in ("name", "about")}
    places: dict[str, Any] = {"data": {"name": suite.data.label}}
    if "table" in definition:
        places["table"] = {"name": Path(definition["table"]["name"]).stem}
    return overlaid(definition, places)


def _require_alike(directory: Path, old: Any, new: Any, where: str = "") -> None:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            _require_alike(directory, old.get(key), new.get(key), f"{where}.{key}" if where else str(key))
    elif old != new:
        raise ArchgradError(
            f"{directory} holds a campaign in which {where} is {old!r}, not {new!r}: choose another directory"
        )
