"""What a search found and random genotypes, trained the same way; trained networks come back with their weights."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from archgrad import ArchgradError, Choice, data, load, search, spaces
from archgrad.comparison import best_of, dataset_of, train_found, train_genotype
from archgrad.evaluation import evaluate
from archgrad.recipes import Recipe
from archgrad.report import RunData
from archgrad.runs import Run

SPACE = spaces.get("nasbench201", channels=2, cells=1)
RECIPE = Recipe(epochs=1, batch_size=16, lr=0.05)
QUIET: dict[str, Any] = {"device": "cpu", "progress": False}


def images() -> data.Dataset:
    digits = data.load("digits")
    few = digits.train.take(torch.arange(64))
    return data.from_tensors(few.inputs, few.targets, few.inputs, few.targets, classes=10, name="few digits")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search")
    search(
        SPACE,
        "random_genotype",
        images(),
        batch_size=16,
        seed=5,
        out=out,
        **QUIET,
    )
    return out


@pytest.fixture(scope="module")
def trained(searched: Path) -> Path:
    train_found(searched, random=2, recipe=RECIPE, data=images(), **QUIET)
    return searched


def test_found_and_random_genotypes_are_trained_alike(trained: Path):
    runs = {entry.name: Run.open(entry) for entry in sorted((trained / "train").iterdir())}
    assert list(runs) == ["found", "random-00", "random-01"]
    differing = {"genotype", "parameters", "flops"}
    settings = [{k: v for k, v in run.config.items() if k not in differing} for run in runs.values()]
    assert settings[0] == settings[1] == settings[2]
    assert settings[0]["space"] == "nasbench201"
    assert settings[0]["space_fields"] == {"channels": 2, "cells": 1}
    found = Run.open(trained).read_json("genotype.json")["text"]
    assert runs["found"].config["genotype"] == found
    assert len({run.config["genotype"] for run in runs.values()}) == 3
    for name, run in runs.items():
        where = trained / "train" / name
        present = {entry.name for entry in where.iterdir()}
        assert {"config.yaml", "metrics.jsonl", "result.json", "weights.safetensors", "checkpoints"} <= present
        genotype = spaces.get("nasbench201").parse(run.config["genotype"])
        cost = SPACE.cost(genotype, in_channels=1, image_size=images().image_size, unreached=False)
        assert (run.read_json("result.json")["parameters"], run.config["flops"]) == cost


def test_random_genotypes_follow_from_the_seed_not_from_how_many_there_are(trained: Path):
    before = Run.open(trained / "train" / "random-01").config["genotype"]
    results = train_found(trained, random=3, recipe=RECIPE, data=images(), **QUIET)
    assert len(results) == 4
    assert Run.open(trained / "train" / "random-01").config["genotype"] == before


def test_a_trained_network_comes_back_with_its_weights(trained: Path):
    dataset = images()
    for directory, run in ((trained, trained / "train" / "found"), (trained / "train" / "random-00",) * 2):
        network = load(directory)
        assert not network.training
        written = Run.open(run).read_json("result.json")["test"]
        found = evaluate(network, dataset, device="cpu")
        assert (found.loss, found.accuracy) == (written["loss"], written["accuracy"])


def test_a_genotype_is_trained_by_its_notation_and_size(tmp_path: Path):
    state = torch.get_rng_state()
    options: dict[str, Any] = {"recipe": RECIPE, **QUIET}
    one = train_genotype(SPACE, "123403", images(), out=tmp_path / "one", **options)
    two = train_genotype(SPACE, "123403", images(), **options)
    other = train_genotype(SPACE, "123403", images(), seed=1, **options)
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers"
    assert one.test == two.test != other.test
    assert Run.open(tmp_path / "one").config["genotype"] == (
        "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"
    )
    with pytest.raises(ArchgradError, match="six digits"):
        train_genotype(SPACE, "12340", images(), **options)


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_a_recipe_that_weighs_an_auxiliary_loss_adds_the_head(tmp_path: Path, weight: float):
    space, recipe = spaces.get("darts", channels=2, cells=3), replace(RECIPE, auxiliary_weight=weight)
    genotype = space.random(torch.Generator().manual_seed(0))
    result = train_genotype(space, genotype, images(), recipe=recipe, out=tmp_path, **QUIET)
    assert (result.network.auxiliary is not None) == (weight > 0)
    assert Run.open(tmp_path).config["auxiliary"] == (weight > 0)
    assert (load(tmp_path).network.auxiliary is not None) == (weight > 0)


def test_the_dataset_of_a_run_is_loaded_as_it_was(trained: Path, tmp_path: Path):
    with pytest.raises(ArchgradError, match="unknown dataset 'few digits'"):
        dataset_of(trained)  # a user's own, which has no name to load it by
    train_genotype(SPACE, "000000", "digits", image_size=6, recipe=RECIPE, out=tmp_path, **QUIET)
    assert dataset_of(tmp_path).name == "digits"
    assert dataset_of(tmp_path).image_size == (6, 6)


def test_what_cannot_be_trained_or_loaded_is_one_line(searched: Path, tmp_path: Path):
    with pytest.raises(ArchgradError, match="random must be a whole number, 0 or more, got -1"):
        train_found(searched, random=-1)
    with pytest.raises(ArchgradError, match="is not a run directory"):
        train_found(tmp_path)
    with pytest.raises(ArchgradError, match="is not a run directory"):
        load(tmp_path / "missing")
    fresh = tmp_path / "fresh"
    search(SPACE, "random_genotype", images(), batch_size=16, out=fresh, **QUIET)
    with pytest.raises(ArchgradError, match=f"not been trained yet: archgrad train {fresh}"):
        load(fresh)
    train_genotype(
        SPACE,
        "000000",
        images(),
        recipe=RECIPE,
        out=tmp_path / "alone",
        **QUIET,
    )
    with pytest.raises(ArchgradError, match="not the run of a search, but of 'train'"):
        train_found(tmp_path / "alone")
    own = nn.Sequential(Choice({"a": nn.Conv2d(1, 1, 3), "b": nn.Conv2d(1, 1, 3)}), nn.Flatten(), nn.Linear(36, 10))
    search(own, "darts", images(), epochs=1, batch_size=16, out=tmp_path / "own", **QUIET)
    with pytest.raises(ArchgradError, match=r"a network of your own .*network="):
        train_found(tmp_path / "own")


def test_searches_from_several_seeds_are_trained_alike_and_know_each_other(tmp_path: Path):
    runs = [tmp_path / name for name in ("one", "two", "three")]
    for seed, run in enumerate(runs):
        search(SPACE, "random_genotype", images(), batch_size=16, seed=seed, out=run, **QUIET)
    options: dict[str, Any] = {"recipe": RECIPE, "data": images(), "validation": 0.25, **QUIET}
    results = train_found(runs[0], beside=runs[1:], random=2, **options)
    places = [*(run / "train" / "found" for run in runs), *(runs[0] / "train" / f"random-0{i}" for i in range(2))]
    assert [result.directory for result in results] == places
    for run, place in zip(runs, places, strict=False):
        assert Run.open(place).config["genotype"] == Run.open(run).read_json("genotype.json")["text"]
    for run in runs:
        known = RunData.read(run)
        assert known.standing is not None
        assert sorted(known.standing.found) == sorted(result.test.score for result in results[:3])
        assert known.standing.found[0] == results[runs.index(run)].test.score
        assert sorted(known.standing.random) == sorted(result.test.score for result in results[3:])
    validation = [result.validation.score for result in results[:3]]
    assert best_of(runs) == str(runs[validation.index(max(validation))])
    shutil.move(runs[0], tmp_path / "moved")
    assert RunData.read(runs[1]).standing is not None, "what it was told is its own"


def test_searches_that_cannot_be_compared_are_refused_before_any_training(searched: Path, tmp_path: Path):
    other = tmp_path / "other"
    search(
        spaces.get("nasbench201", channels=4, cells=1), "random_genotype", images(), batch_size=16, out=other, **QUIET
    )
    with pytest.raises(ArchgradError, match=r"other cannot be compared with .*: its space_fields is \{.*'channels': 4"):
        train_found(searched, beside=[other], data=images(), **QUIET)
    with pytest.raises(ArchgradError, match="a run is given twice"):
        train_found(searched, beside=[searched], data=images(), **QUIET)
    assert not (other / "train").exists()
