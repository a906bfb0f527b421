"""Benchmark suites: search spaces, how they are searched, and how what is found is trained, as data."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from archgrad import methods, spaces
from archgrad.bench.protocol.document import (
    DEFAULT,
    NAME,
    component,
    imported,
    mapping,
    nested,
    overlaid,
    parsed,
    read,
    require_known,
)
from archgrad.bench.protocol.halves import HALVES, Halves
from archgrad.bench.protocol.lookup import LookUp
from archgrad.errors import ArchgradError, require_number, require_whole, unknown
from archgrad.method import ROLES, AlphaOptimiser, Method, WeightOptimiser
from archgrad.recipes import Recipe
from archgrad.robustness.attacks import Attack
from archgrad.schedules import WarmUp
from archgrad.spaces import Space

SUITES = resources.files("archgrad.bench.protocol") / "suites"
PARTS = ("name", "about", "data", "subspaces", "operation_sets", "methods", "search", "training", "table", "presets")
SEVERAL = ("modifiers", "schedules", "regularisers")
ONE = ("relaxation", "architecture_gradient", "weight_gradient", "discretisation")
SEARCH = (
    *("epochs", "batch_size", "train_fraction", "order", "weight_optimiser", "alpha_optimiser", "warm_up", "options"),
    *ONE,
    *SEVERAL,
)
"""What a suite can say of a search; ``methods`` besides, which holds the same for each method."""
DATA = ("name", "image_size", "halves", "limit")
RECIPE = tuple(f.name for f in dataclasses.fields(Recipe))


@dataclass(frozen=True)
class Benchmark:
    """One search space of a suite and the size of its networks, searched and settled alike."""

    name: str
    subspace: str
    operation_set: str
    family: str
    """The name of the space that it is made of, whose published settings methods take."""
    options: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def space(self) -> Space:
        """The search space; it bears the benchmark's name where it is not simply one of the library's."""
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in self.options.items()}
        made = spaces.get(self.family, **options)
        own = bool(self.options or self.operation_set)
        named: Any = made  # a dataclass with a name, like all of the library's spaces
        if own and any(
            field.name == "name" and field.init for field in getattr(made, "__dataclass_fields__", {}).values()
        ):
            return replace(named, name=self.name)  # type: ignore[no-any-return]
        return made

    @property
    def channels(self) -> int | None:
        """Channels of the first cell; None is the published number of the space."""
        return self.size.get("channels")

    @property
    def cells(self) -> int | None:
        """Cells of the networks; None is the published number of the space."""
        return self.size.get("cells")

    @property
    def steps(self) -> int | None:
        """Intermediate nodes per cell, where the space has such."""
        return getattr(self.space, "steps", None)

    @property
    def operations(self) -> tuple[str, ...]:
        """The candidates."""
        return self.space.operations

    @property
    def auxiliary_skip(self) -> bool:
        """Whether a skip connection stands beside every edge."""
        return bool(getattr(self.space, "auxiliary_skip", False))


@dataclass(frozen=True)
class TrainingSetting:
    """One way to train the networks that were found. ``name``: its number in the suite, from 1."""

    name: str
    recipe: Recipe
    varied: tuple[str, ...] = ()

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self.recipe.lr

    @property
    def weight_decay(self) -> float:
        """The weight decay."""
        return self.recipe.weight_decay

    @property
    def label(self) -> str:
        """What distinguishes it from the suite's other settings, for people."""
        return ", ".join(f"{name} {_shown(getattr(self.recipe, name))}" for name in self.varied) or "as the suite says"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


@dataclass(frozen=True)
class Suite:
    """Benchmarks and training settings, or the table that scores come from instead of trainings.

    ``definition``: all of it as plain data, presets applied.
    """

    name: str
    about: str
    benchmarks: tuple[Benchmark, ...]
    settings: tuple[TrainingSetting, ...]
    data: Halves
    definition: Mapping[str, Any] = field(repr=False)
    table: LookUp | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the suite compares unless a campaign says otherwise."""
        return tuple(self.definition["methods"] or self.definition["search"].get("methods") or {})

    def benchmark(self, name: str) -> Benchmark:
        """The benchmark of that name."""
        found: Benchmark = _named("benchmark", name, self.benchmarks)
        return found

    def setting(self, name: str) -> TrainingSetting:
        """The training setting of that name."""
        found: TrainingSetting = _named("setting", name, self.settings)
        return found

    @property
    def train_fraction(self) -> float:
        """The share of the search's half of the data that trains weights."""
        fraction = self.definition["search"].get("train_fraction", 0.5)
        require_number("search", train_fraction=fraction)
        return float(fraction)

    def method(self, name: str, benchmark: Benchmark, entry: Mapping[str, Any] | None = None) -> Method:
        """A method with the suite's settings for a benchmark.

        ``entry``: what a campaign changes (the keys of `SEARCH`); its ``method`` is a method of the library, whose
        settings of the suite count, or ``package.module:function``; ``name`` is then only the name in the tables.
        """
        entry = dict(entry or {})
        source = str(entry.pop("method", name))
        common = {key: value for key, value in self.definition["search"].items() if key in SEARCH}
        own = self.definition["search"].get("methods") or {}
        merged = overlaid(overlaid(common, own.get(name, own.get(source)) or {}), entry)
        chosen = _here(merged, benchmark, {p for b in self.benchmarks for p in _places(b)})
        chosen.pop("train_fraction", None)
        method = _made(source, benchmark.family, chosen.pop("options", None) or {})
        changes: dict[str, Any] = {"name": name}
        given: dict[str, Any] = {key: _components(chosen.pop(key), key) for key in SEVERAL if key in chosen}
        given |= {key: component(chosen.pop(key), ROLES[key]) for key in ONE if key in chosen}
        method = replace(method, **given)
        for key, kind in (("weight_optimiser", WeightOptimiser), ("alpha_optimiser", AlphaOptimiser)):
            if key in chosen:
                values = chosen.pop(key)
                require_known(f"setting of {key}", values, [f.name for f in dataclasses.fields(kind)])
                changes[key] = replace(getattr(method, key), **values)
        require_whole("search", 0, **{key: chosen[key] for key in ("epochs", "batch_size", "warm_up") if key in chosen})
        if "warm_up" in chosen:
            epochs = chosen.pop("warm_up")
            others = tuple(s for s in method.schedules if not isinstance(s, WarmUp))
            changes["schedules"] = (WarmUp(epochs=epochs), *others) if epochs else others
        if method.epochs == 0:  # nothing is trained, whatever the suite says of searches that train
            chosen.pop("epochs", None)
        return replace(method, **changes, **chosen)


def suite(source: str | Path | Mapping[str, Any] = "darts_benchsuite", preset: str = "full", **changes: Any) -> Suite:
    """A suite by name, from a YAML file, or from plain data of the same form.

    ``preset``: one of the suite's variants; ``darts_benchsuite`` has ``full`` (as published), ``small`` and ``mini``.
    ``changes``: parts to lay over it, such as ``data={"name": "digits"}``.

    >>> [benchmark.name for benchmark in suite("darts_benchsuite").benchmarks][:3]
    ['wide-regular', 'wide-no_skip', 'wide-all_skip']
    """
    return changed(source, preset, changes)


def changed(source: str | Path | Mapping[str, Any], preset: str, changes: Mapping[str, Any]) -> Suite:
    """As `suite`, with the parts to lay over it as a mapping."""
    raw, where = (dict(source), "suite") if isinstance(source, Mapping) else _read(source)
    require_known(f"part of a suite in {where}", raw, PARTS)
    presets = raw.pop("presets", {}) or {}
    require_known(f"part of a suite in the changes to {where}", changes, [part for part in PARTS if part != "presets"])
    if not isinstance(preset, str):
        raise ArchgradError(f"{where}: a preset is given by its name, got {preset!r}")
    if preset != "full" or preset in presets:
        if preset not in presets:
            raise unknown(f"preset of {where}", preset, {"full", *presets})
        if preset != "full":
            raw["about"] = ", ".join(filter(None, (raw.get("about"), f"preset {preset}")))
        raw = overlaid(raw, presets[preset] or {})
    definition = overlaid(raw, changes)
    for part in ("subspaces", "table" if "table" in definition else "training"):
        if not isinstance(definition.get(part), Mapping) or not definition[part]:
            raise ArchgradError(f"{where}: a suite needs {part!r}, a mapping")
    for part in ("data", "operation_sets", "search"):
        if definition.get(part) is None:
            definition.pop(part, None)
        else:
            mapping(f"{where}: {part}", definition[part])
    if "table" in definition and "training" in definition:
        raise ArchgradError(f"{where}: scores come from 'training' or from a 'table', not from both")
    definition = {
        "name": str(where),
        "about": "",
        "data": {},
        "operation_sets": {},
        "methods": [],
        "search": {},
        **definition,
    }
    return _suite(definition, str(where))


def _read(source: str | Path) -> tuple[dict[str, Any], str]:
    known = sorted(entry.name.removesuffix(".yaml") for entry in SUITES.iterdir() if entry.name.endswith(".yaml"))
    if not isinstance(source, str | Path):
        raise ArchgradError(f"a suite is a name ({', '.join(known)}), a file or a mapping, got {source!r}")
    if str(source) in known:
        return parsed((SUITES / f"{source}.yaml").read_text(), str(source)), str(source)
    path = Path(source)
    if not path.is_file():
        if len(path.parts) > 1 or path.suffix in (".yaml", ".yml"):
            raise ArchgradError(f"{path}: no such file of a suite")
        raise unknown("suite", str(source), known)
    return read(path), str(path)


def _suite(definition: dict[str, Any], where: str) -> Suite:
    sets = definition["operation_sets"] or {"": {}}
    benchmarks: list[Benchmark] = []
    for subspace, says in definition["subspaces"].items():
        for operations, options in sets.items():
            name = f"{subspace}-{operations}" if operations else str(subspace)
            if not re.fullmatch(NAME, name):
                raise ArchgradError(f"{where}: the name {name!r} may hold letters, digits and _.()+- only")
            if any(benchmark.name == name for benchmark in benchmarks):
                raise ArchgradError(f"{where}: two benchmarks would have the name {name!r}")
            benchmarks.append(_benchmark(name, str(subspace), str(operations), says, options or {}, where))
    table = _look_up(definition["table"], where) if "table" in definition else None
    settings = _settings(definition["training"], where) if table is None else ()
    require_known(f"setting of data in {where}", definition["data"], DATA)
    data = dict(definition["data"])
    if data.get("halves", "stratified") not in HALVES:
        raise unknown("way to halve the data", data["halves"], HALVES)
    search = definition["search"]
    require_known(f"setting of search in {where}", search, (*SEARCH, "methods"))
    for method, says in mapping(f"{where}: search.methods", search.get("methods") or {}).items():
        require_known(f"setting of search.methods.{method} in {where}", says or {}, SEARCH)
    name, about = str(definition["name"]), str(definition["about"])
    return Suite(name, about, tuple(benchmarks), settings, Halves(**data), definition, table)


def _benchmark(name: str, subspace: str, operations: str, says: Any, more: Any, where: str) -> Benchmark:
    if not isinstance(says, Mapping) or "space" not in says:
        raise ArchgradError(
            f"{where}: subspace {subspace!r} needs a space, as {{space: darts, channels: 16, cells: 8}}"
        )
    require_known(f"key of subspace {subspace!r} in {where}", says, ("space", "channels", "cells", "options"))
    size = {key: says[key] for key in ("channels", "cells") if says.get(key) is not None}
    for key, value in size.items():
        if not isinstance(value, int) or value < 1:
            raise ArchgradError(f"{where}: {key} of {subspace!r} must be a whole number above 0, got {value!r}")
    what = f"{where}: the options of {name!r}"
    family, options = str(says["space"]), mapping(what, says.get("options") or {}) | mapping(what, more)
    benchmark = Benchmark(name, subspace, operations, family, options, size)
    try:
        _ = benchmark.space
    except ArchgradError as error:
        raise ArchgradError(f"{where}: benchmark {name!r}: {error}") from None
    return benchmark


def _settings(training: Mapping[str, Any], where: str) -> tuple[TrainingSetting, ...]:
    require_known(f"setting of training in {where}", training, RECIPE)
    varied = tuple(key for key, value in training.items() if isinstance(value, list))
    fixed = {key: value for key, value in training.items() if key not in varied}
    settings = []
    for number, values in enumerate(itertools.product(*(training[key] for key in varied)), start=1):
        chosen = {**fixed, **dict(zip(varied, values, strict=True))}
        if missing := [key for key in ("epochs", "batch_size", "lr") if key not in chosen]:
            raise ArchgradError(f"{where}: training says nothing of {', '.join(missing)}")
        recipe = Recipe(**{key: _of_recipe(key, value, where) for key, value in chosen.items()})
        settings.append(TrainingSetting(str(number), recipe, varied))
    if not settings:
        raise ArchgradError(f"{where}: a list of training settings is empty")
    return tuple(settings)


def _of_recipe(key: str, value: Any, where: str) -> Any:
    if key == "drops":
        if not isinstance(value, list):
            raise ArchgradError(f"{where}: drops of training is a list of its own: write [[0.5, 0.75]]")
        return tuple(value)
    if key == "adversarial":
        return None if value is None else component(value, Attack)
    if not isinstance(value, bool):
        require_number(f"{where}: training", **{key: value})
    return value


def _look_up(says: Mapping[str, Any], where: str) -> LookUp:
    require_known(f"setting of table in {where}", says, ("name", "columns", "settings"))
    columns, settings = says.get("columns"), says.get("settings", ["table"])
    if "name" not in says or not isinstance(columns, Mapping) or not columns:
        raise ArchgradError(f"{where}: table needs a name, and columns as {{cifar10: cifar10_test_200}}")
    if not isinstance(settings, list) or not settings:
        raise ArchgradError(f"{where}: the settings of table must be a list, got {settings!r}")
    return LookUp(
        str(says["name"]), {str(name): str(column) for name, column in columns.items()}, tuple(map(str, settings))
    )


def _made(source: str, family: str, options: Mapping[str, Any]) -> Method:
    if ":" not in source:
        return methods.get(source, family, **options)
    try:
        made = imported(source)(**options)
    except ArchgradError:
        raise
    except Exception as error:  # a function of the user's
        raise ArchgradError(f"method {source!r}: {type(error).__name__}: {error}") from None
    if not isinstance(made, Method):
        raise ArchgradError(f"method {source!r}: expected a function that returns a Method, got {made!r}")
    return made


def _components(items: Any, role: str) -> tuple[Any, ...]:
    if not isinstance(items, list | tuple):
        raise ArchgradError(f"{role}: expected a list, got {items!r}")
    return tuple(component(item, ROLES[role]) for item in items)


def _places(benchmark: Benchmark) -> tuple[str, ...]:
    """Where a value may be given for a benchmark, the most particular first."""
    return (benchmark.name, benchmark.subspace, benchmark.operation_set, DEFAULT)


def _here(values: Mapping[str, Any], benchmark: Benchmark, places: set[str]) -> dict[str, Any]:
    """Values of which each may be given per place; what says nothing of this benchmark is left out."""
    found = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value and set(value) <= places:
            for place in _places(benchmark):
                if place in value:
                    found[key] = value[place]
                    break
        elif nested(value) and key in ("weight_optimiser", "alpha_optimiser"):
            found[key] = _here(value, benchmark, places)
        elif isinstance(value, Mapping) and key not in (*ONE, "options"):
            wrong = next((place for place in value if place not in places), value)
            raise unknown(f"benchmark, subspace or operation set in {key}", wrong, places)
        else:
            found[key] = value
    return found


def _named(kind: str, name: str, entries: Iterable[Any]) -> Any:
    found = {entry.name: entry for entry in entries}
    if name not in found:
        raise unknown(kind, name, found)
    return found[name]
