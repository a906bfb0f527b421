"""Training what a search found and random genotypes the same way, to see what the search is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from archgrad import data as datasets
from archgrad import spaces
from archgrad.data import Dataset
from archgrad.errors import ArchgradError
from archgrad.evaluation import load_weights
from archgrad.foreign import code, files
from archgrad.genotype import Genotype
from archgrad.randomness import generator, isolated
from archgrad.recipes import Recipe, recipe_of
from archgrad.runs import CONFIG, Run
from archgrad.spaces import Space
from archgrad.train import TrainResult, train

FOUND = "found"


def train_genotype(
    space: str | Space,
    genotype: Genotype | str,
    data: str | Path | Dataset = "digits",
    *,
    image_size: int | None = None,
    recipe: str | Recipe = "quick",
    seed: int = 0,
    out: Path | str | None = None,
    **options: Any,
) -> TrainResult:
    """Train the settled network of a genotype from scratch; ``options`` as in `train`.

    A recipe that weighs the loss of an auxiliary head adds one to networks that have it.
    """
    space = spaces.get(space) if isinstance(space, str) else space
    genotype = space.parse(genotype) if isinstance(genotype, str) else space.check(genotype)
    dataset = datasets.load(data, image_size=image_size)
    shape = space.fitting(dataset)
    auxiliary = recipe_of(recipe).auxiliary_weight > 0
    settings = {**spaces.record(space), "genotype": space.format(genotype), **shape, "auxiliary": auxiliary}
    if dataset.image_size:
        settings["flops"] = space.flops(genotype, **shape, image_size=dataset.image_size, unreached=False)
    network = _network(space, genotype, settings, seed)
    source = {"source": str(data), "image_size": image_size} if isinstance(data, str | Path) else {}
    return train(network, dataset, recipe=recipe, seed=seed, out=out, settings={**settings, **source}, **options)


def train_found(
    run: Path | str,
    *,
    random: int = 0,
    recipe: str | Recipe = "quick",
    data: str | Path | Dataset | None = None,
    fields: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[TrainResult]:
    """Train what a search found, and ``random`` genotypes drawn uniformly, all the same way, in ``RUN/train/``.

    The data are those of the search unless given. So are the fields of its space, over which ``fields`` are laid; sizes
    that the search was not given are the published ones of settled networks. The first result is that of the found
    genotype.
    """
    if random < 0:
        raise ArchgradError(f"train: the number of random genotypes must be 0 or more, got {random}")
    searched = Run.open(run)
    config = searched.config
    if config.get("command") != "search":
        raise ArchgradError(f"{run} is not the run of a search, but of {config.get('command')!r}")
    if searched.setting("space", str) not in spaces.SPACES:
        raise ArchgradError(
            f"{run}: a network of your own was searched ({config['space']}): build it in Python with "
            "supernet.settle(genotype) and use archgrad.train"
        )
    space = spaces.recorded(config, **(fields or {}))
    found = space.check(Genotype.from_dict(searched.read_json("genotype.json")))
    draw = generator(seed, "random genotypes")
    genotypes = {FOUND: found} | {f"random-{number:02}": space.random(draw) for number in range(random)}
    return [
        train_genotype(
            space,
            genotype,
            _data(searched, "data") if data is None else data,
            image_size=searched.setting("image_size", int | None),
            recipe=recipe,
            seed=seed,
            out=files.inside(Path(run), f"train/{name}"),
            **options,
        )
        for name, genotype in genotypes.items()
    ]


def load(run: Path | str) -> nn.Module:
    """The trained network of a training run, or of the found genotype of a search run, in evaluation mode."""
    directory = Path(run)
    opened = Run.open(directory)
    if opened.config.get("command") == "search":
        directory = directory / "train" / FOUND
        if not directory.is_dir():
            raise ArchgradError(f"{run}: the found network has not been trained yet: archgrad train {run}")
        opened = Run.open(directory)
    config = opened.config
    if "genotype" not in config or str(config.get("space")) not in spaces.SPACES:
        raise ArchgradError(f"{directory}: not a network of a space: build it and use archgrad.evaluation.load_weights")
    space = spaces.recorded(config)
    settings = {"classes": opened.setting("classes", int), "in_channels": opened.setting("in_channels", int)}
    settings["auxiliary"] = opened.setting("auxiliary", bool)
    genotype = space.parse(opened.setting("genotype", str))
    network = _network(space, genotype, settings, opened.setting("seed", int))
    return load_weights(network, directory).eval()


def _network(space: Space, genotype: Genotype, settings: dict[str, Any], seed: int) -> nn.Module:
    options = {name: settings[name] for name in ("classes", "in_channels", "auxiliary")}
    with isolated(seed, "network"):
        return space.network(genotype, **options)


def dataset_of(run: Path | str) -> Dataset:
    """The dataset that a run used, loaded again as it was."""
    opened = Run.open(run)
    name = _data(opened, "source" if opened.config.get("source") else "data")
    return datasets.load(name, image_size=opened.setting("image_size", int | None))


def _data(run: Run, key: str) -> str:
    """The data that a run used, by name; a function of the user's runs only if the user trusts the run."""
    name = str(run.setting(key, str))
    code.require_trusted(code.named({"data": name}, functions=("data",)), str(run.directory / CONFIG))
    return name
