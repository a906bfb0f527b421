"""The published suite cell by cell, and suites of one's own."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import archgrad.bench
from archgrad import data as datasets
from archgrad.anneal import Anneal
from archgrad.bench import suite
from archgrad.bench.protocol.halves import Halves
from archgrad.discretise import Strongest
from archgrad.errors import ArchgradError
from archgrad.gradient import Adversarial, FlatMinima, LayerAlignment, Perturbed, Plain, RobustValidation, Unrolled
from archgrad.method import Method, describe
from archgrad.modifiers import PartialChannels
from archgrad.regularisers import AlphaNorm, Cost, ZeroOne
from archgrad.relaxation import Sigmoid
from archgrad.robustness import PGD
from archgrad.schedules import WarmUp
from archgrad.spaces.benchsuite import SPACES
from archgrad.spaces.darts import OPERATIONS

SUBSPACES = {"wide": (18, 4, 4, 14), "deep": (7, 18, 4, 14), "single_cell": (26, 1, 8, 44)}
BATCH = {"wide": 96, "deep": 64, "single_cell": 96}
GDAS_BATCH = {"wide": 480, "deep": 320, "single_cell": 480}
PUBLISHED = ("darts", "drnas", "gdas", "oles", "pc_darts", "sdarts_random", "fair_darts")


def test_nine_benchmarks() -> None:
    found = archgrad.bench.suite("darts_benchsuite").benchmarks
    names = [f"{s}-{o}" for s in SUBSPACES for o in ("regular", "no_skip", "all_skip")]
    assert [b.name for b in found] == names
    for benchmark in found:
        subspace, operation_set = benchmark.name.split("-")
        channels, cells, steps, edges = SUBSPACES[subspace]
        assert (*benchmark.space.supernet_size, benchmark.steps) == (channels, cells, steps)
        expected = [o for o in OPERATIONS if operation_set != "no_skip" or o != "skip_connect"]
        assert list(benchmark.operations) == expected
        assert benchmark.auxiliary_skip == (operation_set == "all_skip")
        assert {len(group.edges) for group in benchmark.space.groups.values()} == {edges}


@pytest.mark.parametrize("name", SPACES)
def test_its_spaces_are_those_that_have_names_of_their_own(name: str) -> None:
    ours, named = suite().benchmark(name), SPACES[name]()
    assert ours.space.groups == named.groups
    assert ours.space.name == named.name == name
    assert ours.space.supernet_size == ours.space.network_size == named.supernet_size
    genotype = named.random(torch.Generator().manual_seed(0))
    assert ours.space.parameters(genotype) == named.parameters(genotype)


def test_nine_settings_learning_rate_major() -> None:
    settings = suite().settings
    grid = list(itertools.product((0.025, 0.1, 0.01), (1e-4, 3e-4, 1e-3)))
    assert [(s.lr, s.weight_decay) for s in settings] == grid
    assert [s.name for s in settings] == [str(n) for n in range(1, 10)]
    for setting in settings:
        recipe = setting.recipe
        assert (recipe.epochs, recipe.batch_size, recipe.momentum, recipe.nesterov) == (300, 512, 0.9, False)
        assert (recipe.drop_path, recipe.cutout, recipe.auxiliary_weight, recipe.lr_min) == (0.3, 16, 0.0, 0.0)
        assert recipe.drop_path_at(0) == 0
        assert recipe.lr_at(0, 0, 10) == setting.lr
    assert settings[5].label == "lr 0.1, weight_decay 0.001"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_search_settings(name: str) -> None:
    chosen = suite()
    assert chosen.methods == PUBLISHED
    assert chosen.train_fraction == 0.5
    for benchmark in chosen.benchmarks:
        method = chosen.method(name, benchmark)
        assert method.name == name
        assert method.epochs == (300 if name == "gdas" else 100)
        batch = GDAS_BATCH if name == "gdas" else BATCH
        assert method.batch_size == batch[benchmark.subspace]
        assert method.weight_optimiser.lr == (0.1 if name == "drnas" else 0.025)
        assert method.weight_optimiser.lr_min == (0 if name == "drnas" else 1e-3)
        assert (method.weight_optimiser.weight_decay, method.weight_optimiser.nesterov) == (3e-4, False)
        assert method.alpha_optimiser.lr == (6e-4 if name == "drnas" else 3e-4)
        assert (method.alpha_optimiser.betas, method.alpha_optimiser.weight_decay) == ((0.5, 0.999), 1e-3)
        assert method.order == "alphas-first"
        if name == "sdarts_random":
            assert method.weight_gradient == Perturbed("random", per="epoch")
        if name == "drnas":
            assert (method.modifiers, method.schedules) == ((), ())
            assert method.regularisers == (AlphaNorm(1e-3),)
        if name == "fair_darts":
            assert method.relaxation == Sigmoid()
            assert method.regularisers == (ZeroOne(10, distance="l1"),)
            assert (method.alpha_optimiser.start, method.discretisation) == (1e-3, Strongest())
        if name == "pc_darts":
            assert PartialChannels(4) in method.modifiers
            assert [s.epochs for s in method.schedules if isinstance(s, WarmUp)] == [15]


def test_a_value_for_other_benchmarks_leaves_the_methods_own() -> None:
    """One cell has no other to agree with: there, and only there, the suite lets Λ-DARTS look at reduction cells."""
    chosen, own = suite(), archgrad.methods.get("lambda_darts", "darts").weight_gradient
    for benchmark in chosen.benchmarks:
        found = chosen.method("lambda_darts", benchmark).weight_gradient
        assert found == (LayerAlignment() if benchmark.subspace == "single_cell" else own)


def test_random_genotypes_are_trained_for_no_epochs_whatever_the_suite_says() -> None:
    chosen = suite()
    assert chosen.method("random_genotype", chosen.benchmarks[0]).epochs == 0
    assert chosen.method("random_search", chosen.benchmarks[0]).epochs == 100


@pytest.mark.parametrize("preset", ["small", "mini"])
def test_presets_keep_the_structure(preset: str) -> None:
    full, other = suite(), suite("darts_benchsuite", preset)
    assert other.about == f"{full.about}, preset {preset}"
    assert [b.name for b in other.benchmarks] == [b.name for b in full.benchmarks]
    for ours, theirs in zip(other.benchmarks, full.benchmarks, strict=True):
        assert ours.space.supernet_size.cells == theirs.space.supernet_size.cells
        assert (ours.steps, ours.operations) == (theirs.steps, theirs.operations)
        assert ours.space.groups == theirs.space.groups
        assert ours.auxiliary_skip == theirs.auxiliary_skip
    assert [(s.name, s.lr, s.weight_decay) for s in other.settings] == [
        (s.name, s.lr, s.weight_decay) for s in full.settings
    ]
    assert other.settings[0].recipe.epochs < full.settings[0].recipe.epochs
    benchmark = other.benchmarks[0]
    darts, gdas = (other.method(name, benchmark) for name in ("darts", "gdas"))
    assert gdas.epochs == 3 * darts.epochs < 300


def test_the_mini_preset_divides_its_channels_for_partial_channels() -> None:
    assert all(b.space.supernet_size.channels % 4 == 0 for b in suite("darts_benchsuite", "mini").benchmarks)


def test_halves_are_disjoint_fixed_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """By order: exactly the first and the second half; stratified: the same classes; no image in both."""
    n = 40
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 4, 4).contiguous()
    dataset = datasets.from_tensors(images, torch.arange(n) % 4, images[:8], torch.arange(8) % 4)
    monkeypatch.setattr(datasets, "load", lambda *_, **__: dataset)

    def numbers(halves: Halves) -> list[list[int]]:
        return [part.train.inputs[:, 0, 0, 0].tolist() for part in (halves.search(), halves.training())]

    assert numbers(Halves(name="a", halves="order")) == [list(range(20)), list(range(20, 40))]
    first, second = numbers(Halves(name="a"))
    assert sorted(first + second) == list(range(40))
    assert numbers(Halves(name="a")) == [first, second]
    assert [sum(i % 4 == c for i in first) for c in range(4)] == [5, 5, 5, 5]
    few = numbers(Halves(name="a", limit=16))
    assert len(set(few[0] + few[1])) == 16
    assert Halves(name="/some/where/cifar10").search().name == "cifar10, first half of 40"
    with pytest.raises(ArchgradError, match="limit must be between 2 and 40 training images, got 99"):
        Halves(name="a", limit=99).search()


OWN: dict[str, Any] = {
    "name": "own",
    "data": {"name": "digits"},
    "subspaces": {"small": {"space": "nasbench201", "channels": 4, "cells": 1}, "large": {"space": "nasbench201"}},
    "search": {"epochs": {"small": 2, "large": 3}, "batch_size": 16, "methods": {"gdas": {"epochs": 7}}},
    "training": {"epochs": 1, "batch_size": 16, "lr": 0.1},
}


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    """Any space, values per subspace, a grid of one setting; from a mapping and from a file alike."""
    file = tmp_path / "own.yaml"
    file.write_text(yaml.safe_dump(OWN, sort_keys=False))
    for chosen in (suite(OWN), suite(file)):
        assert [b.name for b in chosen.benchmarks] == ["small", "large"]
        small, large = chosen.benchmarks
        assert (small.space.supernet_size, large.space.supernet_size) == ((4, 1), (16, 5))
        assert (small.steps, small.space.name) == (None, "nasbench201")
        assert [chosen.method("darts", b).epochs for b in (small, large)] == [2, 3]
        assert chosen.method("gdas", small).epochs == 7
        assert chosen.method("gdas", small, {"epochs": 9, "weight_optimiser": {"lr": 0.5}}).weight_optimiser.lr == 0.5
        assert [s.name for s in chosen.settings] == ["1"]
        assert chosen.method("darts", small).order == archgrad.methods.get("darts", "nasbench201").order


def make_method(flag: bool = False) -> Method:
    return Method("mine", epochs=4 + flag)


def test_a_method_of_ones_own_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type("Module", (), {"make_method": staticmethod(make_method)})
    monkeypatch.setitem(__import__("sys").modules, "own_methods", module)
    chosen = suite({**OWN, "search": {}})
    entry = {"method": "own_methods:make_method", "options": {"flag": True}}
    with pytest.raises(ArchgradError, match=r"the method names code .*: own_methods:make_method; .* --trust"):
        chosen.method("shown", chosen.benchmarks[0], entry)
    with archgrad.trusting():
        method = chosen.method("shown", chosen.benchmarks[0], entry)
    assert (method.name, method.epochs) == ("shown", 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subspace": {}}, "suite: unknown key 'subspace': did you mean 'subspaces'"),
        ({"subspaces": {}}, "suite: subspaces must be a mapping such as {wide: {space: darts}}, got {}"),
        ({"subspaces": {"a": {"space": "dart"}}}, "benchmark 'a': unknown space 'dart': did you mean 'darts'"),
        ({"subspaces": {"a": {"channels": 4}}}, "suite: subspaces.a needs space"),
        (
            {"subspaces": {"a": {"space": "darts", "channels": 0}}},
            "benchmark 'a': darts: channels must be a whole number, from 1 to 10,000, got 0",
        ),
        ({"subspaces": {"a/b": {"space": "darts"}}}, "the name 'a/b' may hold letters"),
        (
            {"subspaces": {"a": {"space": "darts", "stepz": 1}}},
            "benchmark 'a': unknown field of the space 'darts' 'stepz'",
        ),
        ({"operation_sets": {"x": {"candidates": ["skip"]}}}, "benchmark 'small-x': .*"),
        ({"training": {"lr": 0.1}}, "suite: training: missing: epochs, batch_size"),
        ({"training": {"epochs": 1, "batch_size": 8, "lr": []}}, "suite: training: a list of settings is empty"),
        ({"training": {"epochs": 1, "batch_size": 8, "lr": "big"}}, "training: lr must be a number, got 'big'"),
        (
            {"training": {"epochs": 1, "batchsize": 8, "lr": 0.1}},
            "suite: training: unknown key 'batchsize': did you mean 'batch_size'",
        ),
        ({"search": {"epoch": 1}}, "suite: unknown setting of search 'epoch': did you mean 'epochs'"),
        ({"search": {"methods": {"gdas": {"lr": 1}}}}, "suite: unknown setting of search.methods.gdas 'lr'"),
        ({"data": {"halves": "by order"}}, "suite: unknown value of data.halves 'by order': did you mean 'order'"),
        ({"data": ["digits"]}, r"data must be a mapping, got \['digits'\]"),
        ({"data": {"limit": "200"}}, "limit must be a whole number, 1 or more, got '200'"),
        ({"operation_sets": ["x"]}, "operation_sets must be a mapping"),
        (
            {"operation_sets": {"x": ["none"]}},
            r"operation_sets must be a mapping of fields of the space, got {'x': \['none'\]}",
        ),
        (
            {"subspaces": {"a-b": {"space": "darts"}, "a": {"space": "darts"}}, "operation_sets": {"c": {}, "b-c": {}}},
            "two benchmarks would have the name 'a-b-c'",
        ),
        ({"subspaces": {"..": {"space": "darts"}}}, "the name '..' may hold letters"),
        ({"search": {"methods": ["darts"]}}, "search.methods must be a mapping"),
        (
            {"training": {"epochs": 1, "batch_size": 8, "lr": "1e-3"}},
            r"must be a number, got '1e-3', .* write 1e-3 as 1\.0e-3",
        ),
        ({"training": {"epochs": 1, "batch_size": 8, "lr": 0.1, "drops": [0.5]}}, r"drops .*: write \[\[0.5, 0.75\]\]"),
    ],
)
def test_mistakes_are_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchgradError, match=message) as error:
        suite({**OWN, **change})
    assert "\n" not in str(error.value)


def test_components_by_their_place() -> None:
    chosen = suite(OWN)
    benchmark = chosen.benchmarks[0]
    warm = {"class_path": "archgrad.schedules.WarmUp", "init_args": {"epochs": 1}}
    assert chosen.method("darts", benchmark, {"schedules": [warm]}).schedules == (WarmUp(1),)
    with pytest.raises(ArchgradError, match=r"Schedule: expected {class_path: package\.module\.Class"):
        chosen.method("darts", benchmark, {"schedules": ["WarmUp"]})
    with pytest.raises(ArchgradError, match=r"archgrad\.schedules\.WarmUp: .*epoch"):
        chosen.method("darts", benchmark, {"schedules": [{**warm, "init_args": {"epoch": 1}}]})
    with pytest.raises(ArchgradError, match=r"WarmUpp"):
        chosen.method("darts", benchmark, {"schedules": [{"class_path": "archgrad.schedules.WarmUpp"}]})


def test_components_wrap_others() -> None:
    """Everything combines with everything, in a file as well, and as `describe` writes it."""
    chosen = suite(OWN)
    made = Method(
        weight_gradient=LayerAlignment(0.25, epsilon=0.1, base=Adversarial(attack=PGD(4 / 255, steps=3))),
        architecture_gradient=FlatMinima(0.1, base=RobustValidation(base=Unrolled())),
        regularisers=(Cost(weight=Anneal(0.0, 0.1), shape=(3, 32, 32)),),
    )
    parts = ("weight_gradient", "architecture_gradient", "regularisers")
    entry = json.loads(json.dumps({name: describe(getattr(made, name)) for name in parts}))
    found = chosen.method("darts", chosen.benchmarks[0], entry)
    assert [getattr(found, name) for name in parts] == [getattr(made, name) for name in parts]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base": "Plain"}, "LayerAlignment: base: WeightGradient: expected {class_path.* got 'Plain'"),
        ({"base": {"attack": 1}}, "LayerAlignment: base: WeightGradient: expected {class_path"),
        ({"base": {"class_path": "archgrad.attacks.PGD"}}, r"base: archgrad\.attacks\.PGD is not a WeightGradient"),
        ({"base": {"class_path": "os.system"}}, "base: .*os.system"),
        ({"base": {"class_path": "archgrad.gradient.Adversarial", "init_args": {"atack": 1}}}, "base: .*atack"),
        ({"strength": "0.1"}, "LayerAlignment: strength must be a number, got '0.1'"),
        ({"groups": "normal"}, "LayerAlignment: groups"),
    ],
)
def test_a_mistake_in_what_is_wrapped_is_one_line(arguments: dict[str, Any], message: str) -> None:
    item = {"class_path": "archgrad.gradient.LayerAlignment", "init_args": arguments}
    with pytest.raises(ArchgradError, match=message) as error:
        suite(OWN).method("darts", suite(OWN).benchmarks[0], {"weight_gradient": item})
    assert "\n" not in str(error.value)


def test_nothing_but_a_component_is_called(tmp_path: Path) -> None:
    chosen, mark = suite(OWN), tmp_path / "called"
    for item in (
        {"class_path": "pathlib.Path.touch", "init_args": {"self": mark}},
        {"class_path": "subprocess.check_output", "init_args": {"args": ["touch", str(mark)]}},
    ):
        with pytest.raises(ArchgradError, match="Relaxation names code"):
            chosen.method("darts", chosen.benchmarks[0], {"relaxation": item})
        with archgrad.trusting(), pytest.raises(ArchgradError, match=r"is not a Relaxation|cannot be imported"):
            chosen.method("darts", chosen.benchmarks[0], {"relaxation": item})
    assert not mark.exists()


def test_a_value_for_one_place_leaves_that_of_the_others() -> None:
    chosen = suite("darts_benchsuite", "mini", search={"epochs": {"wide": 2}})
    assert [chosen.method("darts", chosen.benchmark(f"{s}-regular")).epochs for s in ("wide", "deep")] == [2, 5]
    entry = {"weight_optimiser": {"lr": {"wide": 0.5}}, "epochs": {"deep": 7}}
    wide, deep = (chosen.method("darts", chosen.benchmark(f"{s}-regular"), entry) for s in ("wide", "deep"))
    assert (wide.weight_optimiser.lr, wide.epochs) == (0.5, 2)
    assert (deep.weight_optimiser.lr, deep.epochs) == (0.025, 7)
    with pytest.raises(ArchgradError, match="operation set in epochs 'wid': did you mean 'wide'"):
        chosen.method("darts", chosen.benchmark("wide-regular"), {"epochs": {"wid": 2}})


@pytest.mark.parametrize("preset", ["full", "mini"])
@pytest.mark.parametrize("name", ["gdas", "drnas", "sdarts_random", "fair_darts"])
def test_a_method_by_another_name_has_the_same_settings(name: str, preset: str) -> None:
    chosen = suite("darts_benchsuite", preset)
    for benchmark in chosen.benchmarks:
        mine = chosen.method("mine", benchmark, {"method": name})
        assert dataclasses.replace(mine, name=name) == chosen.method(name, benchmark)


def test_a_component_replaces_another_whole() -> None:
    chosen = suite()
    plain = {"weight_gradient": {"class_path": "archgrad.gradient.Plain"}}
    for benchmark in chosen.benchmarks:
        assert chosen.method("sdarts_random", benchmark, plain).weight_gradient == Plain()
        assert chosen.method("lambda_darts", benchmark, plain).weight_gradient == Plain()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"epochs": "2"}, "epochs must be a whole number, 0 or more, got '2', which is text"),
        ({"epochs": [1, 2]}, r"epochs must be a whole number, 0 or more, got \[1, 2\]$"),
        ({"batch_size": 1.5}, r"batch_size must be a whole number, 0 or more, got 1\.5"),
        ({"modifiers": None}, "method 'darts': modifiers must be a list, got None"),
        ({"weight_optimiser": 0.1}, "method 'darts': weight_optimiser must be a mapping, got 0.1"),
    ],
)
def test_wrong_settings_of_a_method_are_named(entry: dict[str, Any], message: str) -> None:
    chosen = suite(OWN)
    with pytest.raises(ArchgradError, match=message):
        chosen.method("darts", chosen.benchmarks[0], entry)


def test_trainings_may_be_adversarial_and_drop_the_rate_in_steps() -> None:
    attack = {"class_path": "archgrad.robustness.PGD", "init_args": {"steps": 3}}
    training = {**OWN["training"], "drops": [[0.5, 0.75], []], "adversarial": attack}
    first, second = suite({**OWN, "training": training}).settings
    assert (first.recipe.drops, second.recipe.drops) == ((0.5, 0.75), ())
    assert first.recipe.adversarial == PGD(steps=3)
    assert first.label == "drops (0.5, 0.75)"


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("subspaces: {a: {space: darts}}\ntraining: {epochs: 1}\ntraining: {epochs: 2}\n")
    with pytest.raises(ArchgradError, match=r"own\.yaml: not YAML \(line 3: the key 'training' stands there twice\)"):
        suite(tmp_path / "own.yaml")


def test_mistakes_in_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(ArchgradError, match="unknown suite 'darts_bench': did you mean 'darts_benchsuite'"):
        suite("darts_bench")
    with pytest.raises(ArchgradError, match=r"no\.yaml: no such suite file"):
        suite("no.yaml")
    with pytest.raises(ArchgradError, match="unknown preset of darts_benchsuite 'tiny'"):
        suite("darts_benchsuite", "tiny")
    with pytest.raises(
        ArchgradError, match="setting of changes to darts_benchsuite 'trainin': did you mean 'training'"
    ):
        suite("darts_benchsuite", trainin={})
    with pytest.raises(ArchgradError, match=r"a suite is a name .* a file or a mapping, got 3"):
        suite(3)  # type: ignore[arg-type]
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ArchgradError, match=r"bad\.yaml: not YAML"):
        suite(tmp_path / "bad.yaml")
    with pytest.raises(ArchgradError, match="unknown benchmark 'wide_regular': did you mean 'wide-regular'"):
        suite().benchmark("wide_regular")
    with pytest.raises(ArchgradError, match="unknown setting '10'"):
        suite().setting("10")
    with archgrad.trusting(), pytest.raises(ArchgradError, match="No module named 'no_such_module'"):
        suite(OWN).method("x", suite(OWN).benchmarks[0], {"method": "no_such_module:f"})
