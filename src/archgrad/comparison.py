"""Training what a search found and random genotypes the same way, to see what the search is worth."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from archgrad import data as datasets
from archgrad import spaces
from archgrad.data import Dataset
from archgrad.errors import ArchgradError, require_whole
from archgrad.evaluation import INHERITED, load_weights
from archgrad.genotype import Genotype
from archgrad.randomness import generator, isolated
from archgrad.recipes import Recipe, recipe_of
from archgrad.runs import Run
from archgrad.spaces import Space
from archgrad.train import TrainResult, train

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
    dataset = datasets.load(data, image_size=image_size)
    shape = space.fitting(dataset)
    auxiliary = recipe_of(recipe).auxiliary_weight > 0 and inherit is None
    settings = {**spaces.record(space), "genotype": space.format(genotype), **shape, "auxiliary": auxiliary}
    if inherit is not None:
        settings |= {**spaces.record(space.as_searched()), "inherit": True}
        space = space.as_searched()
    if dataset.image_size:
        settings["flops"] = space.flops(genotype, **shape, image_size=dataset.image_size, unreached=False)
    network = _network(space, genotype, settings, seed)
    if inherit is not None:
        load_weights(network, inherit)
    source = {"source": str(data), "image_size": image_size} if isinstance(data, str | Path) else {}
    return train(network, dataset, recipe=recipe, seed=seed, out=out, settings={**settings, **source}, **options)


def train_found(
    run: Path | str,
    *,
    random: int = 0,
    recipe: str | Recipe = "quick",
    inherit: bool = False,
    data: str | Path | Dataset | None = None,
    image_size: int | None = None,
    fields: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> list[TrainResult]:
    """Train what a search found, and ``random`` genotypes drawn uniformly, all the same way, in ``RUN/train/``.

    The data are those of the search unless given, and so is the size of the images. So are the fields of its space,
    over which ``fields`` are laid; sizes that the search was not given are the published ones of settled networks. The
    first result is that of the found genotype. ``inherit``: it starts from the weights of the supernet, in its size,
    and results go to ``RUN/train/inherited``.
    """
    require_whole("train", 0, random=random)
    if inherit and (random or fields):
        other = "random genotypes" if random else "other fields of the space"
        raise ArchgradError(f"train: inherit is for the found network as it was searched: leave out {other}")
    searched = Run.open(run)
    config = searched.config
    if config.get("command") != "search":
        raise ArchgradError(f"{run} is not the run of a search, but of {config.get('command')!r}")
    if config["space"] not in spaces.SPACES:
        raise ArchgradError(
            f"{run}: a network of your own was searched ({config['space']}): build it in Python with "
            "supernet.settle(genotype) and use archgrad.train"
        )
    space = spaces.recorded(config, **(fields or {}))
    found = space.check(Genotype.from_dict(searched.read_json("genotype.json")))
    draw = generator(seed, "random genotypes")
    size = config["image_size"] if image_size is None and not isinstance(data, Dataset) else image_size
    weights, first = (Path(run) / INHERITED, INHERITS) if inherit else (None, FOUND)
    genotypes = {first: found} | {f"random-{number:02}": space.random(draw) for number in range(random)}
    return [
        train_genotype(
            space,
            genotype,
            config["data"] if data is None else data,
            image_size=size,
            recipe=recipe,
            seed=seed,
            out=Path(run) / "train" / name,
            inherit=weights,
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
    if "genotype" not in config or config.get("space") not in spaces.SPACES:
        raise ArchgradError(f"{directory}: not a network of a space: build it and use archgrad.evaluation.load_weights")
    space = spaces.recorded(config)
    network = _network(space, space.parse(config["genotype"]), config, config["seed"])
    return load_weights(network, directory).eval()


def _network(space: Space, genotype: Genotype, settings: dict[str, Any], seed: int) -> nn.Module:
    options = {name: settings[name] for name in ("classes", "in_channels")}
    with isolated(seed, "network"):
        if settings.get("inherit"):
            return space.supernet(**options).settle(genotype)
        return space.network(genotype, **options, auxiliary=settings["auxiliary"])


def dataset_of(run: Path | str, data: str | Path | None = None, image_size: int | None = None) -> Dataset:
    """The dataset that a run used, loaded again as it was, or other data in the size of its images unless given."""
    config = Run.open(run).config
    source = data or config.get("source") or config["data"]
    return datasets.load(source, image_size=config.get("image_size") if image_size is None else image_size)
