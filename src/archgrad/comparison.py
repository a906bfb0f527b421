"""Training what a search found and random genotypes the same way, to see what the search is worth."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from archgrad import data as datasets
from archgrad import spaces
from archgrad.data import Dataset
from archgrad.data.load import recorded
from archgrad.errors import ArchgradError
from archgrad.evaluation import WEIGHTS
from archgrad.foreign import code, files
from archgrad.genotype import Genotype
from archgrad.model import Model, Network, load_model
from archgrad.randomness import derive, generator, isolated
from archgrad.recipes import Recipe, recipe_of
from archgrad.runs import CONFIG, Run
from archgrad.spaces import Space
from archgrad.supernet import Supernet
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
    dataset = datasets.load(data, image_size=image_size, **_reading(options))
    shape = space.fitting(dataset)
    auxiliary = recipe_of(recipe).auxiliary_weight > 0
    settings = {**spaces.record(space), "genotype": space.format(genotype), **shape, "auxiliary": auxiliary}
    if dataset.image_size:
        settings["flops"] = space.flops(genotype, **shape, image_size=dataset.image_size, unreached=False)
    network = _network(space, genotype, settings, seed)
    source = {"source": str(data), "image_size": image_size} if isinstance(data, str | Path) else {}
    return train(network, dataset, recipe=recipe, seed=seed, out=out, settings={**settings, **source}, **options)


def train_own(
    network: nn.Module,
    genotype: Genotype,
    data: str | Path | Dataset = "digits",
    *,
    image_size: int | None = None,
    recipe: str | Recipe = "quick",
    seed: int = 0,
    out: Path | str | None = None,
    **options: Any,
) -> TrainResult:
    """Train a user's own network, its choices settled by a genotype, from scratch; ``options`` as in `train`."""
    supernet = network if isinstance(network, Supernet) else Supernet(network)
    kind = type(supernet.network)
    settings = {"network": f"{kind.__module__}:{kind.__qualname__}", "genotype": genotype.to_json()}
    source = {"source": str(data), "image_size": image_size} if isinstance(data, str | Path) else {}
    settled = supernet.settle(genotype, seed=derive(seed, "network"))
    dataset = datasets.load(data, image_size=image_size, **_reading(options))
    return train(settled, dataset, recipe=recipe, seed=seed, out=out, settings={**settings, **source}, **options)


def train_found(
    run: Path | str,
    *,
    network: nn.Module | None = None,
    random: int = 0,
    recipe: str | Recipe = "quick",
    data: str | Path | Dataset | None = None,
    fields: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[TrainResult]:
    """Train what a search found, and ``random`` genotypes drawn uniformly, all the same way, in ``RUN/train/``.

    The data are those of the search unless given. So are the fields of its space, over which ``fields`` are laid; sizes
    that the search was not given are the published ones of settled networks. ``network``: what was searched, where it
    is a user's own. The first result is that of the found genotype.
    """
    if random < 0:
        raise ArchgradError(f"train: the number of random genotypes must be 0 or more, got {random}")
    searched = Run.open(run)
    config = searched.config
    if config.get("command") != "search":
        raise ArchgradError(f"{run} is not the run of a search, but of {config.get('command')!r}")
    if data is None:  # read as the search has read them, unless something else is asked for
        options |= _reading(config) | recorded(options)
    found = Genotype.from_dict(searched.read_json("genotype.json"))
    draw = generator(seed, "random genotypes")
    if config["space"] in spaces.SPACES:
        space = spaces.recorded(config, **(fields or {}))
        found, drawn = space.check(found), [space.random(draw) for _ in range(random)]
        trained = partial(train_genotype, space)
    else:
        supernet = _searched(run, config["space"], network)
        drawn = [supernet.random(draw) for _ in range(random)]
        trained = partial(train_own, supernet)
    return [
        trained(
            genotype,
            _data(searched, "data") if data is None else data,
            image_size=searched.setting("image_size", int | None),
            recipe=recipe,
            seed=seed,
            out=files.inside(Path(run), f"train/{name}"),
            **options,
        )
        for name, genotype in zip(names(random), [found, *drawn], strict=True)
    ]


def names(random: int) -> list[str]:
    """What the trainings of the found genotype and of so many random ones are called."""
    return [FOUND, *(f"random-{number:02}" for number in range(random))]


def _searched(run: Path | str, name: str, network: nn.Module | None) -> Supernet:
    """The user's own network that was searched, as a supernet."""
    if network is None:
        raise ArchgradError(
            f"{run}: a network of your own was searched ({name}): give it as network=, or on the command line as "
            "--space PACKAGE.MODULE:NAME"
        )
    supernet = network if isinstance(network, Supernet) else Supernet(network)
    if (given := type(supernet.network).__name__) != name:
        raise ArchgradError(f"{run}: {name} was searched, the network given is {given}")
    return supernet


def load(run: Path | str, network: Network | None = None) -> Model:
    """The trained network of a training run, or of the found genotype of a search run, in evaluation mode.

    ``run``: its directory, wherever it was copied to, or a weights file alone. ``network``: the class, function or
    module that was searched, where it is a user's own. Raises ArchgradError if nothing has been trained yet.
    """
    directory = Path(run)
    if not directory.is_file() and not (directory / WEIGHTS).exists():
        found = directory / "train" / FOUND
        if Run.open(directory).config.get("command") == "search" and not found.is_dir():
            raise ArchgradError(f"{run}: the found network has not been trained yet: archgrad train {run}")
        directory = found if found.is_dir() else directory
    return load_model(directory, network)


def _network(space: Space, genotype: Genotype, settings: dict[str, Any], seed: int) -> nn.Module:
    options = {name: settings[name] for name in ("classes", "in_channels", "auxiliary")}
    with isolated(seed, "network"):
        return space.network(genotype, **options)


def dataset_of(run: Path | str) -> Dataset:
    """The dataset that a run used, loaded again as it was."""
    opened = Run.open(run)
    name = _data(opened, "source" if opened.config.get("source") else "data")
    return datasets.load(name, image_size=opened.setting("image_size", int | None), **_reading(opened.config))


def _reading(config: Mapping[str, Any]) -> dict[str, Any]:
    """How files are read, as a run or the options of one say."""
    return {name: value for name, value in recorded(config).items() if name in ("unreadable", "label_column")}


def _data(run: Run, key: str) -> str:
    """The data that a run used, by name; a function of the user's runs only if the user trusts the run."""
    name = str(run.setting(key, str))
    code.require_trusted(code.named({"data": name}, functions=("data",)), str(run.directory / CONFIG))
    return name
