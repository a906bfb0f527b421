"""The command ``archgrad train``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

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
from archgrad.standing import Standing
from archgrad.train import TrainResult

AFTERWARDS = {"predict": " FILES", "export": ""}
"""Commands for a trained network, and what follows on its directory."""
LEFT_OUT = ("recipe", "out", "resume", "checkpoint_seconds", "test_every", "settings", "callbacks")


@gathers(settings=options_of(archgrad.train, LEFT_OUT) | some_of(datasets.load, READING))
def train(
    run: list[str] | None = None,
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
    """Train what searches found, or a genotype, from scratch; with random genotypes beside them for comparison.

    Args:
        run: run directory of a search, whose space is that of the genotype; results go to RUN/train/. Of several
            searches, such as from several seeds, all that they found is trained and compared
        genotype: instead of a run, a genotype in the space's notation, or the name of a published one, as pdarts (see
            `archgrad list models`)
        space: the space of a genotype, nasbench201 by default, or that of a published one; `package.module:function`
            where a network of your own was searched
        data: a dataset; that of the search by default
        image_size: bring the images to this many pixels first; as in the search by default
        random: how many random genotypes are trained the same way, beside what the runs found
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
    if (not run) == (genotype is None):
        raise ArchgradError("train: give either the run directory of a search, or --genotype with its --space")
    settings |= {"recipe": recipe, "image_size": image_size}
    network = own.network(space) if space and ":" in space else None
    if run:
        named = space if network is None else None
        require_absent("is for --genotype: the search says where and how", out=out, space=named)
        first, *beside = run
        settings |= {"random": random, "inherit": inherit}
        results = comparison.train_found(first, beside=beside, network=network, data=data, fields=fields, **settings)
    else:
        assert genotype is not None
        require_absent("is for the run of a search, not for a genotype", random=random or None, inherit=inherit)
        results = [_train_genotype(genotype, network, space, data or "digits", fields, out=out, **settings)]
    if not World.start(settings["device"]).main:
        return
    where = results[0].directory
    if run:
        best = _tell(run, results)
        where = Path(run[0] if inherit else best)
    else:
        console.say(_told(results[0]))
        console.give(**_record(results[0]))
    if where is not None:
        _next(where, space if network is not None else None)


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


def _tell(runs: list[str], results: list[TrainResult]) -> str:
    """Tell what was found, how it compares, and where that can be read; returns the best run on what was held out."""
    from archgrad import report

    found, others = results[: len(runs)], results[len(runs) :]
    for run, result in zip(runs, found, strict=True):
        console.say(f"found{f' by {run}' if len(runs) > 1 else ''}: {_told(result)}")
    first, *beside = map(_record, found)
    console.give(run=runs[0], found=first, beside=beside, random=[_record(other) for other in others])
    if others:
        _compare(found, others)
    merits = [result.validation.merit if result.validation else 0.0 for result in found]
    best = runs[merits.index(max(merits))]
    if beside and found[0].validation is not None:
        console.say(f"best on what the trainings held out: {best}")
        console.give(best=best)
    pages = [report.write(run) for run in runs]
    for page in pages:
        console.say(f"report: {page}")
    console.give(report=pages[0])
    return best


def _compare(found: list[TrainResult], others: list[TrainResult]) -> None:
    task = found[0].test.task

    def shown(score: float) -> str:
        return task.written(task.primary, score)

    reached, random = (tuple(result.test.score for result in results) for results in (found, others))
    standing = Standing(reached, random, task.reading.higher_is_better)
    spread = f" ± {shown(standing.std)}" if standing.std is not None else ""
    better = standing.better(max(found, key=lambda result: result.test.merit).test.score)
    verdict = standing.verdict(f"test {task.label(task.primary)}", shown)
    console.say(
        f"{len(others)} random genotype{'s' if len(others) > 1 else ''}: {shown(standing.mean)}{spread}, "
        f"best {shown(standing.best)}; {better} better than the {'best ' if len(found) > 1 else ''}found one",
        verdict,
    )
    console.give(better=better, verdict=verdict, p=standing.p_value, effect=standing.superiority)


def _record(result: TrainResult) -> dict[str, Any]:
    """A training for programs."""
    validation = result.validation.record() if result.validation else None
    numbers = {"parameters": result.parameters, "seconds": result.seconds, "epoch": result.epoch}
    return {"directory": result.directory, "test": result.test.record(), "validation": validation, **numbers}


def _told(result: TrainResult) -> str:
    task = result.test.task
    value = task.written(task.primary, result.test.score)
    return f"test {task.label(task.primary)} {value}, {result.parameters:,} parameters"
