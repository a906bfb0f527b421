"""The command ``archgrad train``."""

from __future__ import annotations

from typing import Any

import torch

import archgrad
from archgrad import comparison, spaces
from archgrad import data as datasets
from archgrad.cli import own
from archgrad.data.load import READING
from archgrad.distributed import World
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.options import gathers, options_of, some_of
from archgrad.train import TrainResult

LEFT_OUT = ("recipe", "out", "resume", "checkpoint_seconds", "test_every", "settings")


@gathers(settings=options_of(archgrad.train, LEFT_OUT) | some_of(datasets.load, READING))
def train(
    run: str | None = None,
    *,
    genotype: str | None = None,
    space: str = "nasbench201",
    data: str | None = None,
    random: int = 0,
    recipe: str = "quick",
    out: str | None = None,
    settings: dict[str, Any],
    **fields: Any,
) -> None:
    """Train what a search found, or a genotype, from scratch; with random genotypes beside it for comparison.

    Args:
        run: run directory of a search; results go to RUN/train/
        genotype: a genotype in the space's notation, instead of a run
        space: the space of the genotype; that of the run, with the fields that the search was given;
            `package.module:function` where a network of your own was searched
        data: a dataset; that of the search by default
        random: how many random genotypes are trained the same way
        recipe: darts, nasbench201, quick or adversarial
        out: run directory of a genotype's training
        epochs: instead of the recipe's
        batch_size: instead of the recipe's
        limit: use so many training images at most, the same number of every class
        unreadable: refuse images that cannot be read, or skip them; as the search did with its own data
        label_column: the column of labels in Parquet files
        class_weights: weights of the classes in the loss: balanced, or a number per class, separated by commas
        changed: refuse to continue a run with other data or another network, or accept them
        validation: share of the training set held out to choose the best epoch; 0 takes the last epoch
        seed: everything random follows from it
        device: cpu, cuda, cuda:1, mps; the best there is by default
        mixed_precision: no or bf16
        progress: show a progress bar on terminals
    """
    if (run is None) == (genotype is None):
        raise ArchgradError("train: give either the run directory of a search, or --genotype with its --space")
    network = own.network(space) if ":" in space else None
    if genotype is not None and network is not None:
        found = Genotype.from_json(genotype)
        results = [comparison.train_own(network, found, data or "digits", recipe=recipe, out=out, **settings)]
    elif genotype is not None:
        where = spaces.get(space, **fields)
        results = [comparison.train_genotype(where, genotype, data or "digits", recipe=recipe, out=out, **settings)]
    else:
        assert run is not None
        results = comparison.train_found(
            run, network=network, random=random, data=data, fields=fields, recipe=recipe, **settings
        )
    if not World.start(settings["device"]).main:
        return
    if run is None:
        print(_told(results[0]))
        return
    _compare(*results)
    from archgrad import report

    print(f"report: {report.write(run)}")


def _compare(found: TrainResult, *others: TrainResult) -> None:
    print(f"found: {_told(found)}")
    if not others:
        return
    task = found.test.task
    scores = torch.tensor([other.test.score for other in others], dtype=torch.float64)
    spread = f" ± {task.written(task.primary, float(scores.std()))}" if len(others) > 1 else ""
    best = max(others, key=lambda other: other.test.merit).test
    better = sum(other.test.merit > found.test.merit for other in others)
    print(
        f"{len(others)} random genotype{'s' if len(others) > 1 else ''}: "
        f"{task.written(task.primary, float(scores.mean()))}{spread}, "
        f"best {task.written(task.primary, best.score)}; {better} better than the found one"
    )


def _told(result: TrainResult) -> str:
    task = result.test.task
    value = task.written(task.primary, result.test.score)
    return f"test {task.label(task.primary)} {value}, {result.parameters:,} parameters"
