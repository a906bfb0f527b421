"""Training what a search found and random genotypes the same way, to see what the search is worth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archgrad import data as datasets
from archgrad import hub, spaces
from archgrad.data import Dataset
from archgrad.data.load import READING, recorded
from archgrad.distributed import World
from archgrad.errors import ArchgradError, require_whole, shown
from archgrad.evaluation import INHERITED, WEIGHTS, load_weights
from archgrad.foreign import code, files
from archgrad.genotype import Genotype
from archgrad.model import Model, Network, built, load_model
from archgrad.randomness import derive, generator, isolated
from archgrad.recipes import Recipe, recipe_of
from archgrad.runs import CONFIG, Run, atomic_write
from archgrad.spaces import Space
from archgrad.supernet import Supernet
from archgrad.tasks import Reading
from archgrad.train import TrainResult, train

BESIDE = "beside.json"
"""What a run knows of the searches and random networks that were trained beside what it found."""
FOUND, INHERITS = "found", "inherited"
"""Directories of trainings in that of a search: of the found network afresh, and from the weights of the supernet."""


def train_genotype(
    space: str | Space,
    genotype: Genotype | str,
    data: str | Path | Dataset = "digits",
    *,
    image_size: int | None = None,
    recipe: str | Recipe = "quick",
    seed: int = 0,
    out: Path | str | None = None,
    inherit: Path | str | None = None,
    **options: Any,
) -> TrainResult:
    """Train the settled network of a genotype from scratch; ``options`` as in `train`.

    A recipe that weighs the loss of an auxiliary head adds one to networks that have it. ``inherit``: a file of weights
    of the settled supernet (`archgrad.evaluation.INHERITED` of the search), from which the training starts; the network
    is then that of the supernet, in its size and without an auxiliary head.
    """
    space = spaces.get(space) if isinstance(space, str) else space
    genotype = space.parse(genotype) if isinstance(genotype, str) else space.check(genotype)
    dataset = datasets.load(data, image_size=image_size, **_reading(options))
    shape = space.fitting(dataset)
    auxiliary = recipe_of(recipe).auxiliary_weight > 0 and inherit is None
    settings = {**spaces.record(space), "genotype": space.format(genotype), **shape, "auxiliary": auxiliary}
    if inherit is not None:
        settings |= {**spaces.record(space.as_searched()), "inherit": True}
        space = space.as_searched()
    if dataset.image_size:
        settings["flops"] = space.flops(genotype, **shape, image_size=dataset.image_size, unreached=False)
    with isolated(seed, "network"):
        network = built(space, genotype, settings)
    if inherit is not None:
        load_weights(network, inherit)
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
    inherit: Path | str | None = None,
    **options: Any,
) -> TrainResult:
    """Train a user's own network, its choices settled by a genotype; ``inherit``, ``options`` as `train_genotype`."""
    supernet = network if isinstance(network, Supernet) else Supernet(network)
    kind = type(supernet.network)
    settings: dict[str, Any] = {"network": f"{kind.__module__}:{kind.__qualname__}", "genotype": genotype.to_json()}
    settled = supernet.settle(genotype, seed=derive(seed, "network"))
    if inherit is not None:
        settings |= {"inherit": True}
        load_weights(settled, inherit)
    source = {"source": str(data), "image_size": image_size} if isinstance(data, str | Path) else {}
    dataset = datasets.load(data, image_size=image_size, **_reading(options))
    return train(settled, dataset, recipe=recipe, seed=seed, out=out, settings={**settings, **source}, **options)


def train_found(
    run: Path | str,
    *,
    beside: Sequence[Path | str] = (),
    network: nn.Module | None = None,
    random: int = 0,
    recipe: str | Recipe = "quick",
    inherit: bool = False,
    data: str | Path | Dataset | None = None,
    image_size: int | None = None,
    fields: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[TrainResult]:
    """Train what searches found, and ``random`` genotypes drawn uniformly, all the same way, in ``RUN/train/``.

    The data are those of the search unless given, and so is the size of the images. So are the fields of its space,
    over which ``fields`` are laid; sizes that the search was not given are the published ones of settled networks. The
    first result is that of the found genotype. ``beside``: other searches of the same, such as from other seeds, whose
    found networks are trained in their own directories and come next; the random ones, in that of the first, come last.
    Every run then knows of the others' scores (`BESIDE`), and its report shows all of them. ``inherit``: the found
    network starts from the weights of the supernet, in its size, and results go to ``RUN/train/inherited``.
    ``network``: what was searched, where it is a user's own.
    """
    require_whole("train", 0, random=random)
    if inherit and (random or fields):
        other = "random genotypes" if random else "other fields of the space"
        raise ArchgradError(f"train: inherit is for the found network as it was searched: leave out {other}")
    searches = _searches(run, *beside)
    searched = searches[0]
    config = searched.config
    if data is None:  # read as the search has read them, unless something else is asked for
        options |= _reading(config) | recorded(options)
    trained, checked, drawn = _space_of(run, config, network, fields or {})
    found = [checked(Genotype.from_dict(search.read_json("genotype.json"))) for search in searches]
    draw = generator(seed, "random genotypes")
    if image_size is None and not isinstance(data, Dataset):
        image_size = searched.setting("image_size", int | None)
    first, *cloud = names(INHERITS if inherit else FOUND, random)
    places = [(search.directory, first) for search in searches] + [(searched.directory, name) for name in cloud]
    results = [
        trained(
            genotype,
            _data(searched, "data") if data is None else data,
            image_size=image_size,
            recipe=recipe,
            seed=seed,
            out=files.inside(directory, f"train/{name}"),
            inherit=directory / INHERITED if inherit else None,
            **options,
        )
        for (directory, name), genotype in zip(places, [*found, *(drawn(draw) for _ in cloud)], strict=True)
    ]
    if beside and not inherit and World.start(options.get("device"), options.get("mixed_precision", "no")).main:
        _tell_each_other(searches, cloud)
    return results


def _space_of(
    run: Path | str, config: Mapping[str, Any], network: nn.Module | None, fields: Mapping[str, Any]
) -> tuple[Callable[..., TrainResult], Callable[[Genotype], Genotype], Callable[[torch.Generator], Genotype]]:
    """What trains a genotype of what was searched, what checks one, and what draws one."""
    if config["space"] in spaces.SPACES:
        space = spaces.recorded(config, **fields)
        return partial(train_genotype, space), space.check, space.random
    supernet = _supernet(run, config["space"], network)
    return partial(train_own, supernet), lambda genotype: genotype, supernet.random


def _searches(*runs: Path | str) -> list[Run]:
    """The runs of searches, which must be different ones of the same space on the same data."""
    searches = [Run.open(run) for run in runs]
    for run, searched in zip(runs, searches, strict=True):
        if searched.config.get("command") != "search":
            raise ArchgradError(f"{run} is not the run of a search, but of {searched.config.get('command')!r}")
        for name in ("space", "space_fields", "data", "image_size", *READING):
            here, there = (search.config.get(name) for search in (searched, searches[0]))
            if here != there:
                raise ArchgradError(
                    f"{run} cannot be compared with {runs[0]}: its {name} is {shown(here)}, there it is {shown(there)}"
                )
    if len({searched.directory.resolve() for searched in searches}) < len(searches):
        raise ArchgradError(f"train: a run is given twice: {', '.join(map(str, runs))}")
    return searches


def _tell_each_other(searches: Sequence[Run], cloud: Sequence[str]) -> None:
    """Write into every run how the networks of the others did, as plain data, so that it stays readable wherever it is.

    What a run trained itself, it knows.
    """

    def told(directory: Path) -> dict[str, Any]:
        run = Run.open(directory)
        return {"config": run.config, "result": run.read_json("result.json")}

    names = [search.directory.name for search in searches]
    if len(set(names)) < len(names):
        names = [str(search.directory) for search in searches]
    first = searches[0].directory
    found = {name: told(search.directory / "train" / FOUND) for name, search in zip(names, searches, strict=True)}
    random = {name: told(first / "train" / name) for name in cloud}
    for own, search in zip(names, searches, strict=True):
        others = {name: entry for name, entry in found.items() if name != own}
        text = json.dumps({"found": others, "random": {} if search is searches[0] else random}, indent=1)
        atomic_write(search.directory / BESIDE, text.encode())


def best_of(runs: Sequence[Path | str]) -> str:
    """The search whose found network is the best on what its training held out, the first where nothing was."""

    def merit(run: Path | str) -> float:
        trained = Run.open(Path(run) / "train" / FOUND)
        reading, held_out = Reading.of(trained.config.get("task")), trained.read_json("result.json").get("validation")
        return reading.merit(held_out[reading.primary]) if held_out else -math.inf

    return str(max(runs, key=merit))


def names(first: str, random: int) -> list[str]:
    """What the trainings of the found genotype and of so many random ones are called."""
    return [first, *(f"random-{number:02}" for number in range(random))]


def _supernet(run: Path | str, name: str, network: nn.Module | None) -> Supernet:
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
    module that was searched, where it is a user's own. ``hf:user/name`` is a repository of the Hugging Face Hub.
    Raises ArchgradError if nothing has been trained yet.
    """
    if str(run).startswith(hub.PREFIX):
        return hub.load(str(run), network)
    directory = Path(run)
    if not directory.is_file() and not (directory / WEIGHTS).exists():
        found = directory / "train" / FOUND
        if Run.open(directory).config.get("command") == "search" and not found.is_dir():
            raise ArchgradError(f"{run}: the found network has not been trained yet: archgrad train {run}")
        directory = found if found.is_dir() else directory
    return load_model(directory, network)


def dataset_of(run: Path | str, data: str | Path | None = None, image_size: int | None = None) -> Dataset:
    """The dataset that a run used, loaded again as it was, or other data in the size of its images unless given."""
    opened = Run.open(run)
    source = data or _data(opened, "source" if opened.config.get("source") else "data")
    size = opened.setting("image_size", int | None) if image_size is None else image_size
    return datasets.load(source, image_size=size, **(_reading(opened.config) if data is None else {}))


def _reading(config: Mapping[str, Any]) -> dict[str, Any]:
    """How files are read, as a run or the options of one say."""
    return {name: value for name, value in recorded(config).items() if name in ("unreadable", "label_column")}


def _data(run: Run, key: str) -> str:
    """The data that a run used, by name; a function of the user's runs only if the user trusts the run."""
    name = str(run.setting(key, str))
    code.require_trusted(code.named({"data": name}, functions=("data",)), str(run.directory / CONFIG))
    return name
