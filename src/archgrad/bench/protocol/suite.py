"""Benchmark suites: search spaces, how they are searched, and how what is found is trained, as data."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from archgrad import methods, spaces
from archgrad.attacks import Attack
from archgrad.bench.protocol.document import (
    DEFAULT,
    NAME,
    Document,
    Whole,
    component,
    nested,
    overlaid,
    require_known,
    validated,
)
from archgrad.bench.protocol.halves import Halves
from archgrad.bench.protocol.lookup import LookUp
from archgrad.errors import ArchgradError, is_number, unknown
from archgrad.foreign import code
from archgrad.foreign.plain import parsed, read
from archgrad.method import ROLES, SEVERAL, Method
from archgrad.recipes import Recipe
from archgrad.schedules import WarmUp
from archgrad.spaces import Size, Space

SUITES = resources.files("archgrad.bench.protocol") / "suites"
SETTINGS = 1000
"""The most training settings of a suite."""

ONE = tuple(role for role in ROLES if role not in SEVERAL)


@dataclass(frozen=True)
class Benchmark:
    """One search space of a suite, with the size of its networks."""

    name: str
    subspace: str
    operation_set: str
    family: str
    """The name of the space that it is made of, whose published settings methods take."""
    fields: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def space(self) -> Space:
        """The search space; it bears the benchmark's name where it differs from the library's in more than size."""
        made: Any = spaces.get(self.family, **self.fields)
        own = bool(self.operation_set or set(self.fields) - set(Size._fields))
        if own and any(field.name == "name" and field.init for field in dataclasses.fields(made)):
            return replace(made, name=self.name)  # type: ignore[no-any-return]
        return made  # type: ignore[no-any-return]

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
    values: Mapping[str, Any]
    varied: tuple[str, ...] = ()

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe."""
        return _recipe(self.values)

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
        values = _as_tuples(self.values)
        return ", ".join(f"{name} {_shown(values[name])}" for name in self.varied) or "as the suite says"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) and "class_path" in value:
        given = ", ".join(f"{name}={_shown(each)}" for name, each in (value.get("init_args") or {}).items())
        return f"{str(value['class_path']).rpartition('.')[2]}({given})"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


class Subspace(BaseModel):
    """A space, and any of its fields."""

    model_config = ConfigDict(extra="allow", frozen=True)

    space: str

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the space that are given."""
        return dict(self.model_extra or {})


class MethodChanges(BaseModel):
    """What can be said of a search, for one benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Whole = Field(default=0, description="a whole number, 0 or more")
    batch_size: Whole = Field(default=0, description="a whole number, 0 or more")
    train_fraction: float = 0.5
    order: Literal["alphas-first", "weights-first"] = "alphas-first"
    without: list[str] = []
    warm_up: Whole = Field(default=0, description="a whole number, 0 or more")
    weight_optimiser: dict[str, Any] = {}
    alpha_optimiser: dict[str, Any] = {}
    options: dict[str, Any] | None = None
    relaxation: Any = None
    architecture_gradient: Any = None
    weight_gradient: Any = None
    discretisation: Any = None
    modifiers: list[Any] = []
    regularisers: list[Any] = []
    schedules: list[Any] = []


SEARCH = tuple(MethodChanges.model_fields)
"""What a suite can say of a search; ``methods`` besides, which holds the same for each method."""


class Suite(Document):
    """Benchmarks and training settings, or the table that scores come from instead of trainings."""

    name: str = ""
    about: str = ""
    data: Halves = Halves()
    subspaces: dict[str, Subspace] = Field(min_length=1, description="a mapping such as {wide: {space: darts}}")
    operation_sets: dict[str, dict[str, Any] | None] = Field(default={}, description="a mapping of fields of the space")
    methods: tuple[str, ...] = ()
    """The methods that the suite compares unless a campaign says otherwise."""
    search: dict[str, Any] = Field(default={}, description="a mapping")
    training: dict[str, Any] = Field(default={}, description="a mapping")
    table: LookUp | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.training) == (self.table is not None):
            raise ArchgradError(
                "scores come from 'training' or from a 'table', "
                + ("not from both" if self.training else "and the suite has neither")
            )
        require_known("search", self.search, (*SEARCH, "methods"))
        require_known("search.methods", self.own, self.own)
        for method, says in self.own.items():
            require_known(f"search.methods.{method}", says or {}, SEARCH)
        if not (is_number(share := self.search.get("train_fraction", 0.5)) and 0 < share < 1):
            raise ArchgradError(f"search.train_fraction must be a number between 0 and 1, got {share!r}")
        _ = self.benchmarks
        if not code.refused(code.named(self.training)):
            _ = [setting.recipe for setting in self.settings]
        return self

    @property
    def definition(self) -> dict[str, Any]:
        """All that was said, as plain data, presets applied."""
        return self.model_dump(exclude_unset=True)

    @property
    def own(self) -> Mapping[str, Any]:
        """What the suite says of single methods' searches."""
        return self.search.get("methods") or {}

    @cached_property
    def benchmarks(self) -> tuple[Benchmark, ...]:
        """Every subspace with every set of operations."""
        found: dict[str, Benchmark] = {}
        for subspace, says in self.subspaces.items():
            for operations, options in (self.operation_sets or {"": {}}).items():
                name = f"{subspace}-{operations}" if operations else subspace
                if not re.fullmatch(NAME, name):
                    raise ArchgradError(f"the name {name!r} may hold letters, digits and _.()+- only")
                if name in found:
                    raise ArchgradError(f"two benchmarks would have the name {name!r}")
                made = Benchmark(name, subspace, operations, says.space, says.fields | (options or {}))
                try:
                    _ = made.space
                except ArchgradError as error:
                    raise ArchgradError(f"benchmark {name!r}: {error}") from None
                found[name] = made
        return tuple(found.values())

    @cached_property
    def settings(self) -> tuple[TrainingSetting, ...]:
        """Every combination of the lists in ``training``, the last one varying fastest."""
        if not self.training:
            return ()
        varied = tuple(key for key, value in self.training.items() if isinstance(value, list))
        if (number := math.prod(len(self.training[key]) for key in varied)) > SETTINGS:
            raise ArchgradError(f"training: its lists make {number:,} settings, more than {SETTINGS:,}")
        rows = itertools.product(*(self.training[key] for key in varied))
        chosen = [self.training | dict(zip(varied, row, strict=True)) for row in rows]
        if not chosen:
            raise ArchgradError("training: a list of settings is empty")
        return tuple(TrainingSetting(str(number), values, varied) for number, values in enumerate(chosen, start=1))

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
        return float(self.search.get("train_fraction", 0.5))

    def method(self, name: str, benchmark: Benchmark, entry: Mapping[str, Any] | None = None) -> Method:
        """A method with the suite's settings for a benchmark.

        ``entry``: what a campaign changes (the keys of `SEARCH`); its ``method`` is a method of the library, whose
        settings of the suite count, or ``package.module:function``; ``name`` is then only the name in the tables.
        """
        entry = dict(entry or {})
        source = str(entry.pop("method", name))
        common = {key: value for key, value in self.search.items() if key != "methods"}
        merged = overlaid(overlaid(common, self.own.get(name, self.own.get(source)) or {}), entry)
        here = _here(merged, benchmark, {p for b in self.benchmarks for p in _places(b)})
        says = validated(MethodChanges, here, f"method {name!r}")
        method = _made(source, benchmark.family, says.options or {})
        given = {key: getattr(says, key) for key in says.model_fields_set}
        changes: dict[str, Any] = {"name": name}
        changes |= {key: tuple(component(item, ROLES[key]) for item in given[key]) for key in SEVERAL if key in given}
        changes |= {key: component(given[key], ROLES[key]) for key in ONE if key in given}
        for key in ("weight_optimiser", "alpha_optimiser"):
            if key in given:
                old = getattr(method, key)
                changes[key] = validated(type(old), dataclasses.asdict(old) | _as_tuples(given[key]), key)
        if "warm_up" in given:
            others = [s for s in changes.get("schedules", method.schedules) if not isinstance(s, WarmUp)]
            changes["schedules"] = (*([WarmUp(epochs=says.warm_up)] if says.warm_up else []), *others)
        changes |= {key: given[key] for key in ("batch_size", "order", "without") if key in given}
        if "epochs" in given and method.epochs:  # where nothing is trained, the suite speaks of searches that train
            changes["epochs"] = says.epochs
        return replace(method, **changes)


def suite(source: str | Path | Mapping[str, Any] = "darts_benchsuite", preset: str = "full", **changes: Any) -> Suite:
    """A suite by name, from a YAML file, or from plain data of the same form.

    ``preset``: one of the suite's variants; ``darts_benchsuite`` has ``full`` (as published), ``small`` and ``mini``.
    ``changes``: parts to lay over it, such as ``data={"name": "digits"}``.

    >>> published = suite("darts_benchsuite")
    >>> published.benchmarks[0].name, len(published.benchmarks), len(published.settings)
    ('wide-regular', 9, 9)
    """
    return changed(source, preset, changes)


def changed(source: str | Path | Mapping[str, Any], preset: str, changes: Mapping[str, Any]) -> Suite:
    """As `suite`, with the parts to lay over it as a mapping."""
    raw, where = (dict(source), "suite") if isinstance(source, Mapping) else _read(source)
    presets = raw.pop("presets", {}) or {}
    require_known(f"{where}: presets", presets, presets)
    require_known(f"changes to {where}", changes, Suite.model_fields)
    if preset != "full":
        if preset not in presets:
            raise unknown(f"preset of {where}", preset, {"full", *presets})
        raw["about"] = ", ".join(filter(None, (raw.get("about"), f"preset {preset}")))
    raw = overlaid(raw, presets.get(preset) or {})
    return validated(Suite, {"name": where, **overlaid(raw, changes)}, where)


def _read(source: str | Path) -> tuple[dict[str, Any], str]:
    known = sorted(entry.name.removesuffix(".yaml") for entry in SUITES.iterdir() if entry.name.endswith(".yaml"))
    if not isinstance(source, str | Path):
        raise ArchgradError(f"a suite is a name ({', '.join(known)}), a file or a mapping, got {source!r}")
    if str(source) in known:
        return parsed((SUITES / f"{source}.yaml").read_text(), str(source)), str(source)
    path = Path(source)
    if not os.path.isfile(path):
        if len(path.parts) > 1 or path.suffix in (".yaml", ".yml"):
            raise ArchgradError(f"{path}: no such suite file")
        raise unknown("suite", str(source), known)
    return read(path), str(path)


def _recipe(values: Mapping[str, Any]) -> Recipe:
    chosen = dict(values)
    if chosen.get("adversarial") is not None:
        chosen["adversarial"] = component(chosen["adversarial"], Attack)
    if not isinstance(chosen.get("drops", []), list):
        raise ArchgradError("drops of training is a list of its own: write [[0.5, 0.75]]")
    return validated(Recipe, _as_tuples(chosen), "training")


def _as_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _made(source: str, family: str, options: Mapping[str, Any]) -> Method:
    if ":" not in source:
        return methods.get(source, family, **options)
    code.require_trusted([source], "the method")
    try:
        made = code.imported(source, "the method")(**options)
    except ArchgradError:
        raise
    except Exception as error:  # a function of the user's
        raise ArchgradError(f"method {source!r}: {type(error).__name__}: {error}") from None
    if not isinstance(made, Method):
        raise ArchgradError(f"method {source!r}: expected a function that returns a Method, got {made!r}")
    return made


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
