"""The command ``archgrad train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archgrad
from archgrad import comparison, console, spaces
from archgrad import data as datasets
from archgrad.cli import own
from archgrad.data.load import READING
from archgrad.distributed import World
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.options import gathers, options_of, require_absent, some_of
from archgrad.train import TrainResult

AFTERWARDS = {"predict": " FILES", "export": ""}
"""Commands for a trained network, and what follows on its directory."""
LEFT_OUT = ("recipe", "out", "resume", "checkpoint_seconds", "test_every", "settings", "callbacks")


@gathers(settings=options_of(archgrad.train, LEFT_OUT) | some_of(datasets.load, READING))
def train(
    run: str | None = None,
    *,
    genotype: str | None = None,
    space: str | None = None,
    data: str | None = None,
    image_size: int | None = None,
    random: int = 0,
    inherit: bool = False,
    recipe: str = "quick",
    out: str | None = None,
    settings: dict[str, Any],
    **fields: Any,
) -> None:
    """Train what a search found, or a genotype, from scratch; with random genotypes beside it for comparison.

    Args:
        run: run directory of a search, whose space is that of the genotype; results go to RUN/train/
        genotype: instead of a run, a genotype in the space's notation, or the name of a published one, as pdarts (see
            `archgrad list models`)
        space: the space of a genotype, nasbench201 by default, or that of a published one; `package.module:function`
            where a network of your own was searched
        data: a dataset; that of the search by default
        image_size: bring the images to this many pixels first; as in the search by default
        random: how many random genotypes are trained the same way, beside what a run found
        inherit: start from the weights of the supernet, in its size
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
        extend: the training has been there with fewer epochs, and goes on as one of so many does from there
        progress: show a progress bar on terminals, and a line a minute elsewhere
        track: tell an experiment tracker of it: tensorboard, wandb (offline), mlflow or trackio
    """
    if (run is None) == (genotype is None):
        raise ArchgradError("train: give either the run directory of a search, or --genotype with its --space")
    settings |= {"recipe": recipe, "image_size": image_size}
    network = own.network(space) if space and ":" in space else None
    if genotype is not None:
        require_absent("is for the run of a search, not for a genotype", random=random or None, inherit=inherit)
        results = [_train_genotype(genotype, network, space, data or "digits", fields, out=out, **settings)]
    else:
        assert run is not None
        named = space if network is None else None
        require_absent("is for --genotype: the search says where and how", out=out, space=named)
        results = comparison.train_found(
            run, network=network, random=random, inherit=inherit, data=data, fields=fields, **settings
        )
    if not World.start(settings["device"]).main:
        return
    if run is None:
        console.say(_told(results[0]))
        console.give(**_record(results[0]))
    else:
        from archgrad import report

        _compare(*results)
        page = report.write(run)
        console.say(f"report: {page}")
        console.give(run=run, report=page)
    if (trained := results[0].directory) is not None:
        _next(Path(run) if run else trained, space if network is not None else None)


def _next(run: Path, own: str | None) -> None:
    """What can be done with the trained network."""
    options = f" --space {shlex.quote(own)}" if own else ""
    commands = [f"archgrad {command} {shlex.quote(str(run))}{rest}{options}" for command, rest in AFTERWARDS.items()]
    console.say(f"next: {'; '.join(commands)}")
    console.give(next=commands)


def _train_genotype(
    genotype: str, network: nn.Module | None, space: str | None, data: str, fields: dict[str, Any], **options: Any
) -> TrainResult:
    """Train a genotype of a space, or of a network of the user's own."""
    if network is not None:
        return comparison.train_own(network, Genotype.from_json(genotype), data, **options)
    return comparison.train_genotype(spaces.of_genotype(genotype, space, **fields), genotype, data, **options)


def _compare(found: TrainResult, *others: TrainResult) -> None:
    console.say(f"found: {_told(found)}")
    console.give(found=_record(found), random=[_record(other) for other in others])
    if not others:
        return
    task = found.test.task
    scores = torch.tensor([other.test.score for other in others], dtype=torch.float64)
    spread = f" ± {task.written(task.primary, float(scores.std()))}" if len(others) > 1 else ""
    best = max(others, key=lambda other: other.test.merit).test
    better = sum(other.test.merit > found.test.merit for other in others)
    console.give(better=better)
    console.say(
        f"{len(others)} random genotype{'s' if len(others) > 1 else ''}: "
        f"{task.written(task.primary, float(scores.mean()))}{spread}, "
        f"best {task.written(task.primary, best.score)}; {better} better than the found one"
    )


def _record(result: TrainResult) -> dict[str, Any]:
    """A training for programs."""
    validation = result.validation.record() if result.validation else None
    numbers = {"parameters": result.parameters, "seconds": result.seconds, "epoch": result.epoch}
    return {"directory": result.directory, "test": result.test.record(), "validation": validation, **numbers}


def _told(result: TrainResult) -> str:
    task = result.test.task
    value = task.written(task.primary, result.test.score)
    return f"test {task.label(task.primary)} {value}, {result.parameters:,} parameters"
