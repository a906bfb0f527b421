"""A campaign: methods × benchmarks × seeds × training settings, as one YAML file and one directory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from archgrad import methods as library
from archgrad.bench.protocol import suite as suites
from archgrad.bench.protocol.document import NAME, mapping, overlaid, read
from archgrad.bench.protocol.store import Store
from archgrad.bench.protocol.suite import SEARCH, Suite
from archgrad.bench.protocol.unit import Record, Trial, Unit
from archgrad.distributed import require_precision
from archgrad.errors import ArchgradError, require_not_negative, unknown
from archgrad.runs import atomic_write
from archgrad.schedules import Diagnose

SNAPSHOT = "campaign.yaml"
BASELINES = ("random_genotype", "random_search")
GENOTYPES = ("all", "lowest_validation_loss")
KEEP = ("results", "weights", "checkpoints")
KEYS = (
    "suite",
    "preset",
    "data",
    "changes",
    "directory",
    "methods",
    "benchmarks",
    "seeds",
    "settings",
    "genotypes",
    "mixed_precision",
    "processes",
    "keep",
    "checkpoint_seconds",
    "diagnose",
)
IDENTITY = ("genotypes", "mixed_precision", "processes")
"""What cannot change once units have been computed, besides the suite and the methods."""


@dataclass(frozen=True)
class Campaign:
    """What is to be computed, and where.

    ``methods``: name in the tables → what differs from the suite's settings (keys of `suite.SEARCH`, and ``method``).
    ``genotypes``: ``all`` trains what every search found; ``lowest_validation_loss`` only that of one search per
    benchmark and method, as published. ``processes`` compute a unit together. ``keep``: what stays of complete units
    besides their results. ``diagnose``: every how many epochs searches look for signs of collapse, or the settings of
    `archgrad.schedules.Diagnose`.
    """

    directory: Path
    suite: Suite
    methods: Mapping[str, Mapping[str, Any]]
    benchmarks: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: tuple[str, ...]
    genotypes: str = "all"
    mixed_precision: str = "no"
    processes: int = 1
    keep: str = "weights"
    checkpoint_seconds: float = 60.0
    diagnose: int | Mapping[str, Any] = 5
    store: Store = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", Store(self.directory))
        for name, value, known in (("genotypes", self.genotypes, GENOTYPES), ("keep", self.keep, KEEP)):
            if value not in known:
                raise unknown(f"value of {name}", value, known)
        if not isinstance(self.processes, int) or self.processes < 1:
            raise ArchgradError(f"campaign: processes must be a whole number above 0, got {self.processes!r}")
        require_precision(self.mixed_precision)
        require_not_negative("campaign", checkpoint_seconds=self.checkpoint_seconds)
        if not 0 < self.suite.train_fraction < 1:
            raise ArchgradError(f"campaign: train_fraction must be between 0 and 1, got {self.suite.train_fraction}")
        self.diagnostics()
        for name in self.benchmarks:
            self.suite.benchmark(name)
        for name in self.settings:
            self.suite.setting(name)

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

    def __len__(self) -> int:
        pairs = len(self.benchmarks) * len(self.methods)
        trials = len(self.seeds) if self.genotypes == "all" else 1
        return pairs * (len(self.seeds) + trials * len(self.settings))

    def entry(self, method: str) -> Mapping[str, Any]:
        """What the campaign changes in a method."""
        if method not in self.methods:
            raise unknown("method of the campaign", method, self.methods)
        return self.methods[method]

    def diagnostics(self) -> int | Diagnose:
        """What searches take as ``diagnose``."""
        if isinstance(self.diagnose, int) and self.diagnose >= 0:
            return self.diagnose
        try:
            return Diagnose(**self.diagnose)  # type: ignore[arg-type]
        except TypeError:
            names = ", ".join(each.name for each in fields(Diagnose))
            raise ArchgradError(
                f"campaign: diagnose must be a number of epochs, 0 for never, or a mapping of {names}; "
                f"got {self.diagnose!r}"
            ) from None

    def require_all(self) -> None:
        """Compose every method for every benchmark and open the table, so that a mistake is seen before computing."""
        if (scores := self.suite.table) is not None:
            space = scores.table.space.name
            for name in self.benchmarks:
                if (family := self.suite.benchmark(name).family) != space:
                    raise ArchgradError(f"table {scores.table.name!r} is of the space {space}: {name} is of {family}")
            _ = scores.values
        self.require_methods()

    def require_methods(self) -> None:
        """Compose every method for every benchmark."""
        known = {*library.names(), *self.suite.definition["methods"], *self.methods}
        for name in self.suite.definition["search"].get("methods") or {}:
            if name not in known:
                raise unknown("method in search.methods of the suite", name, known)
        for benchmark in self.benchmarks:
            for method, entry in self.methods.items():
                try:
                    self.suite.method(method, self.suite.benchmark(benchmark), entry)
                except (TypeError, ValueError) as error:
                    raise ArchgradError(f"method {method!r} for {benchmark}: {error}") from None

    # The file and the directory

    @classmethod
    def load(cls, file: Path | str) -> Campaign:
        """From a YAML file, or the directory of a campaign.

        Where the directory that the file names already holds a campaign of which something has been computed, that one
        is continued: methods, benchmarks, seeds and settings of both count. ArchgradError if the file changes what
        units would compute.
        """
        path = Path(file)
        if path.is_dir():
            return cls.open(path)
        if not path.is_file():
            raise ArchgradError(f"{path}: no such file of a campaign")
        campaign = cls._of(read(path), path)
        if (campaign.directory / SNAPSHOT).is_file():
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
        if not path.is_file():
            raise ArchgradError(f"{directory} is not the directory of a campaign: it has no {SNAPSHOT}")
        stamp = path.stat()
        return _opened(path, (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino))

    @classmethod
    def _of(cls, raw: Mapping[str, Any], path: Path) -> Campaign:
        for key in raw:
            if key not in KEYS:
                raise unknown(f"key of {path}", key, KEYS)
        changes = {"data": {}} | mapping(f"{path}: changes", raw.get("changes") or {})
        data = raw.get("data") or {}
        data = {"name": data} if isinstance(data, str) else data
        changes["data"] = mapping(f"{path}: data", changes["data"] or {}) | mapping(f"{path}: data", data)
        chosen = suites.changed(_beside(raw.get("suite", "darts_benchsuite"), path), raw.get("preset", "full"), changes)
        names = [benchmark.name for benchmark in chosen.benchmarks]
        options = {key: raw[key] for key in (*IDENTITY, "keep", "checkpoint_seconds", "diagnose") if key in raw}
        if options.get("mixed_precision") is False:  # what YAML takes "no" for
            options["mixed_precision"] = "no"
        given = raw.get("directory") or Path("campaigns") / path.stem
        if not isinstance(given, str | Path):
            raise ArchgradError(f"{path}: directory must be a path, got {given!r}")
        directory = Path(given)
        try:
            return cls(
                directory,
                chosen,
                _methods(raw.get("methods", list(chosen.methods)), path),
                _chosen("benchmarks", raw.get("benchmarks", "all"), names, path),
                _seeds(raw.get("seeds", 3), path),
                _chosen("settings", raw.get("settings", "all"), [s.name for s in chosen.settings], path),
                **options,
            )
        except TypeError as error:
            raise ArchgradError(f"{path}: {error}") from None

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
        order = [benchmark.name for benchmark in self.suite.benchmarks]
        return replace(
            self,
            suite=other.suite,  # the same but for where this machine keeps the data
            methods=_with_baselines({**self.methods, **other.methods}),
            benchmarks=tuple(sorted({*self.benchmarks, *other.benchmarks}, key=order.index)),
            seeds=tuple(sorted({*self.seeds, *other.seeds})),
            settings=tuple(sorted({*self.settings, *other.settings}, key=lambda name: (len(name), name))),
            keep=other.keep,
            checkpoint_seconds=other.checkpoint_seconds,
            diagnose=other.diagnose,
        )

    def with_more(
        self, methods: Sequence[Any] = (), benchmarks: Sequence[str] = (), seeds: int | None = None,
        settings: Sequence[str] = (),
    ) -> Campaign:  # fmt: skip
        """The campaign with further methods, benchmarks, ``seeds`` more seeds, or further settings."""
        path = self.directory
        top = max(self.seeds) + 1
        return self.extended(
            replace(
                self,
                methods=_methods(list(methods), path),
                benchmarks=_chosen("benchmarks", list(benchmarks), [b.name for b in self.suite.benchmarks], path)
                if benchmarks
                else self.benchmarks,
                seeds=(*self.seeds, *range(top, top + (seeds or 0))),
                settings=_chosen("settings", list(settings), [s.name for s in self.suite.settings], path)
                if settings
                else self.settings,
            )
        )

    def save(self) -> None:
        """Write the campaign into its directory, whole; nothing else of the directory is touched."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArchgradError(f"cannot write {self.directory}: {error.strerror}") from None
        text = yaml.safe_dump(self.snapshot(), sort_keys=False, width=120)
        path = self.directory / SNAPSHOT
        if not path.is_file() or path.read_text() != text:
            atomic_write(path, text.encode())

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "suite": _plain(self.suite.definition),
            "methods": [{"name": name, **_plain(entry)} for name, entry in self.methods.items()],
            "benchmarks": list(self.benchmarks),
            "seeds": list(self.seeds),
            "settings": list(self.settings),
            "genotypes": self.genotypes,
            "mixed_precision": self.mixed_precision,
            "processes": self.processes,
            "keep": self.keep,
            "checkpoint_seconds": self.checkpoint_seconds,
            "diagnose": _plain(self.diagnose),
        }


@lru_cache(maxsize=4)
def _opened(path: Path, stamp: tuple[int, ...]) -> Campaign:
    return replace(Campaign._of(read(path), path), directory=path.parent)


def _beside(source: Any, path: Path) -> Any:
    """A suite's file may be named relative to the campaign's."""
    if isinstance(source, str) and Path(source).suffix in (".yaml", ".yml") and (path.parent / source).is_file():
        return path.parent / source
    return source


def _methods(given: Any, path: Path) -> dict[str, Mapping[str, Any]]:
    if not isinstance(given, list):
        raise ArchgradError(f"{path}: methods must be a list of names or mappings, got {given!r}")
    found: dict[str, Mapping[str, Any]] = {}
    for item in given:
        entry = {"name": item} if isinstance(item, str) else dict(item) if isinstance(item, Mapping) else {}
        name = str(entry.pop("name", ""))
        if not re.fullmatch(NAME, name):
            raise ArchgradError(f"{path}: a method needs a name of letters, digits and _.()+-, got {item!r}")
        for key in entry:
            if key not in (*SEARCH, "method"):
                raise unknown(f"setting of method {name!r} in {path}", key, (*SEARCH, "method"))
        if name in found:
            raise ArchgradError(f"{path}: the method {name!r} stands there twice: give one of them another name")
        found[name] = entry
    return _with_baselines(found)


def _with_baselines(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Without random baselines a table says nothing about what a search is worth."""
    found = {name: entry for name, entry in entries.items() if name not in BASELINES}
    return {**found, **{name: entries.get(name, {}) for name in BASELINES}}


def _seeds(given: Any, path: Path) -> tuple[int, ...]:
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return tuple(range(given))
    whole = isinstance(given, list) and given and all(type(seed) is int and 0 <= seed < 2**63 for seed in given)
    if not whole or len(set(given)) < len(given):
        raise ArchgradError(f"{path}: seeds must be a count or a list of different whole numbers, got {given!r}")
    return tuple(sorted(given))


def _chosen(kind: str, given: Any, known: Sequence[str], path: Path) -> tuple[str, ...]:
    if given in ("all", list(known)):  # a suite that looks scores up has no settings: then none is all
        return tuple(known)
    if not isinstance(given, list) or not given:
        raise ArchgradError(f"{path}: {kind} must be 'all' or a list, got {given!r}")
    names = [str(item) for item in given]
    for name in names:
        if name not in known:
            raise unknown(f"{kind[:-1]} of {path}", name, known)
    return tuple(name for name in known if name in names)


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


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
