"""Training and evaluating a settled network, with the published recipes and exact resume."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archgrad import data as datasets
from archgrad.attacks import Attack
from archgrad.attacks.victim import Victim
from archgrad.callbacks import Callback
from archgrad.data import Augmentation, Batches, Dataset, Subset
from archgrad.data.fingerprint import fingerprint
from archgrad.data.load import recorded
from archgrad.data.preparation import Preparation
from archgrad.distributed import World, synchronise_batch_norm
from archgrad.errors import ArchgradError
from archgrad.evaluation import (
    WEIGHTS,
    Evaluation,
    evaluate,
    evaluate_subset,
    in_type_of,
    load_shared,
    load_state,
    load_weights,
    require_fitting,
    require_state,
)
from archgrad.identity import of_network
from archgrad.loop import Loop
from archgrad.method import describe
from archgrad.model import card_of, with_card
from archgrad.nested import called, leaves
from archgrad.operations.drop_path import DropPath
from archgrad.optim import clip, restore, set_lr
from archgrad.randomness import derive, generator, isolated, seed_torch
from archgrad.recipes import Recipe, recipe_of
from archgrad.tasks import Classification
from archgrad.tracking import callbacks as followers

__all__ = ["Evaluation", "Recipe", "TrainResult", "evaluate", "load_weights", "train"]


@dataclass(frozen=True)
class TrainResult:
    """A trained network and how it did.

    `network` has the weights of `epoch` (counted from 0): the best on what was held out, by the task's primary metric,
    or the last where nothing was. `history` has one record per epoch.
    """

    network: nn.Module = field(repr=False)
    test: Evaluation
    validation: Evaluation | None
    epoch: int
    parameters: int
    seconds: float
    history: list[dict[str, Any]] = field(repr=False)
    directory: Path | None = None


def train(
    network: nn.Module,
    data: str | Path | Dataset = "digits",
    *,
    recipe: str | Recipe = "quick",
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    out: Path | str | None = None,
    validation: float = 0.0,
    device: str | torch.device | None = None,
    mixed_precision: str = "no",
    resume: bool = True,
    changed: str = "refuse",
    extend: bool = False,
    progress: bool = True,
    checkpoint_seconds: float = 300.0,
    test_every: int = 0,
    settings: Mapping[str, Any] | None = None,
    track: str | None = None,
    callbacks: Sequence[Callback] = (),
    **reading: Any,
) -> TrainResult:
    """Train a network in place from the weights that it has, and test it at the end.

    In training mode the network may return `(outputs, auxiliary outputs)`. `recipe`: `"quick"`, `"darts"`,
    `"nasbench201"`, `"adversarial"` or a `Recipe`, of which `epochs` and `batch_size` change the values. `validation`:
    share of the training set that is held out to choose the best epoch; with 0 the last epoch counts. The test set
    never chooses anything; `test_every` reports the primary metric on it every so many epochs. An incomplete last
    batch of an epoch is left out. `reading`: `limit`, `unreadable`, `label_column`, `class_weights` as
    `archgrad.data.load`.

    `out`: run directory, written and, with the same settings, resumed from its last checkpoint with the same result
    bit for bit; None writes nothing. Checkpoints come after every epoch and every `checkpoint_seconds`. `settings` are
    recorded with the others, such as the genotype. With other data or another network a run is not resumed, unless
    `changed` is `"accept"`. `extend`: the run there had fewer epochs, and goes on as one of so many does from there: a
    learning rate that had fallen rises again. `track`, `callbacks` as `archgrad.search`. `device`, `mixed_precision` as
    `World.start`.

    Raises ArchgradError for unusable settings and data, and when the loss stops being finite.
    """
    chosen, following = recipe_of(recipe, epochs, batch_size), followers(callbacks, track)
    world = World.start(device, mixed_precision)
    dataset = in_type_of(network, load_shared(data, world, **reading))
    require_fitting(network, dataset)
    _require_possible(chosen, dataset, world)
    config = {
        "command": "train",
        **(settings or {}),
        "data": dataset.name,
        "task": dataset.task.reading.record(),
        "answers": dataset.task.record(),
        "inputs": Preparation.of(dataset).record(),
        **recorded(reading),
        "recipe": {**asdict(chosen), "adversarial": describe(chosen.adversarial)},
        "seed": seed,
        "validation": validation,
        **world.settings(),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }
    training = _Training(network, dataset, chosen, seed, validation, test_every, world)
    with training.started(out, config, resume, training.inputs, changed, extend=extend):
        if not training.resume():
            training.save()
        with training.followed(following, config):
            with isolated(seed, "train"):
                training.fit(progress, checkpoint_seconds)
            return training.finish(Path(out) if out is not None else None)


def _require_possible(recipe: Recipe, dataset: Dataset, world: World) -> None:
    """Refuse a recipe that does not suit the data or the processes."""
    if recipe.batch_size % world.size:
        raise ArchgradError(f"batch size {recipe.batch_size} cannot be shared by {world.size} processes evenly")
    if recipe.adversarial is not None and not isinstance(dataset.task, Classification):
        raise ArchgradError(f"recipe: adversarial training is for classification, {dataset.name} is for {dataset.task}")


class _Training(Loop):
    """One training: what its steps and epochs do beside what every `Loop` does."""

    title, length = "training", "recipe.epochs"

    def __init__(
        self,
        network: nn.Module,
        dataset: Dataset,
        recipe: Recipe,
        seed: int,
        validation: float,
        test_every: int,
        world: World,
    ) -> None:
        super().__init__(recipe.epochs, world, dataset.task.with_label_smoothing(recipe.label_smoothing))
        self.recipe, self.seed, self.dataset, self.test_every = recipe, seed, dataset, test_every
        self.learning_rate = recipe.lr
        self.identity = of_network(network)
        self.trained: nn.Module = synchronise_batch_norm(network, world).to(
            world.device, memory_format=torch.channels_last
        )  # type: ignore[call-overload]
        self.parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        if not self.parameters:
            raise ArchgradError("the network has no parameters to train")
        self.optimiser = torch.optim.SGD(
            self.parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
        fit = dataset.train
        self.held_out: Subset | None = None
        if validation:
            self.held_out, fit = datasets.split(dataset.train, validation, seed)
        self.batches = Batches(
            fit,
            recipe.batch_size // world.size,
            seed=derive(seed, "data"),
            augment=_augmentation(recipe, dataset),
            shuffle=True,
            drop_last=True,
            device=world.device,
            rank=world.rank,
            world=world.size,
        )
        self.records: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None  # epoch, record and weights of the best epoch so far

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        return self.trained

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record per epoch."""
        return self.records

    def inputs(self) -> dict[str, Any]:
        """What identifies the data and the network."""
        return {"data": fingerprint(self.dataset), "network": self.identity}

    def payload(self) -> dict[str, Any]:
        return {"optimiser": self.optimiser.state_dict(), "best": self.best}

    def restore(self, payload: Mapping[str, Any]) -> None:
        restore(self.optimiser, payload["optimiser"])
        self.best = payload["best"]
        if self.best is not None:
            operator.index(self.best["epoch"])
            Evaluation.of(self.best["record"], self.task)
            require_state(self.network, self.best["weights"], "best epoch")

    def start_epoch(self) -> None:
        for module in self.network.modules():
            if isinstance(module, DropPath):
                module.rate = self.recipe.drop_path_at(self.epoch)
        self.network.train()

    def end_epoch(self, record: dict[str, Any]) -> None:
        if self.held_out is not None:
            found = self.evaluate(self.held_out)
            record |= {"validation_loss": found.loss, f"validation_{found.primary}": found.score}
            best = Evaluation.of(self.best["record"], self.task).merit if self.best else math.nan
            if self.best is None or math.isnan(best) or found.merit > best:
                weights = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}
                self.best = {"epoch": self.epoch, "record": found.record(), "weights": weights}
        if self.test_every and (self.epoch + 1) % self.test_every == 0:
            found = self.evaluate(self.dataset.test)
            record |= {"test_loss": found.loss, f"test_{found.primary}": found.score}
        record["lr"] = self.recipe.lr_at(self.epoch, self.steps - 1, self.steps)
        record["seconds"] = self.seconds - self.seconds_before
        self.history.append(record)

    def train_step(self, batch: Any) -> None:
        (x, y), recipe = batch, self.recipe
        # Dropout and drop-path draw from torch's own generator: seeded here, a step is the same after any resume.
        seed_torch(self.seed, "step", self.epoch, self.step, self.world.rank)
        set_lr(self.optimiser, recipe.lr_at(self.epoch, self.step, self.steps))
        x = x if recipe.adversarial is None else self.attacked(recipe.adversarial, x, y)
        with self.world.autocast():
            output = called(self.network, x)
            outputs, auxiliary = output if isinstance(output, tuple) else (output, None)
            loss = self.task.mean_loss(outputs, y)
            if auxiliary is not None and recipe.auxiliary_weight:
                loss = loss + recipe.auxiliary_weight * self.task.mean_loss(auxiliary, y)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        means = {"loss": loss.detach().clone()}
        with torch.no_grad():
            sums = self.task.running(outputs, y)
        means |= {name: value.to(loss.dtype) / len(leaves(y)[0]) for name, value in sums.items()}
        self.world.average([*gradients, *means.values()])  # one transfer; all processes then know the whole batch's
        if recipe.clip:
            clip(gradients, recipe.clip)
        self.optimiser.step()
        count = recipe.batch_size
        self.averages["train"].add(count, **{name: value * count for name, value in means.items()})

    def attacked(self, attack: Attack, x: Any, y: Any) -> Tensor:
        """The batch as an attack on the network of this step leaves it."""
        numbers = generator(self.seed, "attack", self.epoch, self.step, self.world.rank)
        with self.world.autocast():
            return attack(Victim.of(self.network, self.dataset), x, y, numbers)

    def evaluate(self, subset: Subset) -> Evaluation:
        return evaluate_subset(self.network, subset, self.dataset.task, self.world)

    def finish(self, directory: Path | None) -> TrainResult:
        validation = None
        if self.best is not None:
            validation = Evaluation.of(self.best["record"], self.task)
            load_state(self.network, self.best["weights"], "best epoch")
        result = TrainResult(
            network=self.network,
            test=self.evaluate(self.dataset.test),
            validation=validation,
            epoch=self.best["epoch"] if self.best else self.recipe.epochs - 1,
            parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            seconds=self.seconds,
            history=self.history,
            directory=directory,
        )
        record = {
            "test": result.test.record(),
            "validation": validation.record() if validation else None,
            "epoch": result.epoch,
            "epochs": self.recipe.epochs,
            "parameters": result.parameters,
            "seconds": result.seconds,
            "executors": sorted(self.usage.executors),
        }
        if self.run is not None:
            self.run.write_bytes(WEIGHTS, with_card(self.network, card_of(self.run.config)))
            self.run.write_json("result.json", record)
        for callback in self.callbacks:
            callback.on_end(record)
        return result


def _augmentation(recipe: Recipe, dataset: Dataset) -> Augmentation | None:
    if dataset.augmentation is None or dataset.image_size is None:
        return None
    base = dataset.augmentation if recipe.augment else Augmentation()
    side = math.sqrt(math.prod(dataset.image_size))  # of the square with as many pixels
    return replace(base, cutout=round(recipe.cutout * side / 32))
