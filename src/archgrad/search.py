"""The bilevel search: alternating steps of alphas and weights, epoch by epoch, exactly resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archgrad import data as datasets
from archgrad import methods, spaces
from archgrad.context import Clock, Context
from archgrad.data import Batches, Dataset, Subset
from archgrad.distributed import World, synchronise_batch_norm
from archgrad.errors import ArchgradError, require_whole
from archgrad.evaluation import evaluate_subset, load_shared, require_fitting, widened
from archgrad.genotype import Genotype
from archgrad.method import Method, describe
from archgrad.mixture import Mixture
from archgrad.objective import Descent, Objective
from archgrad.optim import Averages, clip, cosine, set_lr
from archgrad.progress import Progress
from archgrad.randomness import derive
from archgrad.runs import Run
from archgrad.schedules import Diagnose
from archgrad.spaces import Size, Space
from archgrad.state import State, Step
from archgrad.supernet import Mixed, Supernet
from archgrad.supernet_accuracy import SupernetAccuracy

CHECK_EVERY = 100  # steps between two looks at whether the weights are still finite; each waits for the device


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    ``alphas``: group → ``[epochs+1, edges, ops]``, the initial ones first; −inf where an edge of the space lacks that
    candidate.
    """

    genotype: Genotype
    alphas: dict[str, np.ndarray[Any, Any]]
    history: list[dict[str, Any]]
    directory: Path | None
    supernet: Supernet = field(repr=False)
    build: Callable[..., nn.Module] = field(repr=False)
    """The settled network, freshly initialised, in the size that was searched."""


def search(
    network: str | Space | Supernet | nn.Module = "nasbench201",
    method: str | Method = "darts",
    data: str | Path | Dataset = "digits",
    *,
    image_size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    train_fraction: float = 0.5,
    executor: str = "auto",
    out: Path | str | None = None,
    device: str | torch.device | None = None,
    mixed_precision: str = "no",
    diagnose: int | Diagnose = 5,
    resume: bool = True,
    progress: bool = True,
    checkpoint_seconds: float = 60.0,
) -> SearchResult:
    """Search an architecture.

    ``network``: a space, whose fields are the size of the supernet, or its name, or any module with choices.
    ``method``: a `Method`, or the name of one, then with its published settings for the space.
    ``image_size``: bring images to this many pixels first. ``epochs``, ``batch_size``: the method's; ``batch_size`` is
    that of one process.
    ``train_fraction`` of the training set trains the weights, the rest the alphas; the split is stratified and follows
    from ``seed``.
    ``diagnose``: every how many epochs `Diagnose` looks for signs of collapse, or one as it is; 0 for never. It changes
    nothing.
    ``out``: run directory; a search that was interrupted there is continued exactly. None writes nothing. It may be
    continued on another device or by another executor, which changes the rounding.

    Raises ArchgradError for unusable settings, and when the loss stops being finite; the last good checkpoint stays.
    """
    if not isinstance(method, str | Method):
        raise ArchgradError(f"search: method must be a Method or the name of one, got {method!r}")
    if not isinstance(diagnose, Diagnose):
        require_whole("search", 0, diagnose=diagnose)
    space = spaces.get(network) if isinstance(network, str) else network if isinstance(network, Space) else None
    if isinstance(method, str):
        method = methods.get(method, space.name if space else "")
    method = replace(
        method,
        epochs=method.epochs if epochs is None else epochs,
        batch_size=method.batch_size if batch_size is None else batch_size,
    )
    world = World.start(device, mixed_precision)
    dataset = load_shared(data, world, image_size)

    def make(size: Mapping[str, int], stage: int) -> Supernet:
        with torch.random.fork_rng():
            torch.manual_seed(derive(seed, "weights", *([stage] if stage else [])))
            return _supernet(space or network, size, dataset, executor, seed)

    with torch.random.fork_rng():
        config = {
            "command": "search",
            **(spaces.record(space) if space else {"space": type(getattr(network, "network", network)).__name__}),
            "data": str(data) if isinstance(data, str | Path) else dataset.name,
            "image_size": image_size,
            "seed": seed,
            "train_fraction": train_fraction,
            "mixed_precision": mixed_precision,
            "processes": world.size,
            "method": describe(method),
        }
        # Before the run directory is claimed: settings that cannot work leave nothing behind.
        signs = Diagnose(diagnose) if isinstance(diagnose, int) and diagnose else diagnose or None
        loop = Search(make, method, dataset, world, seed, train_fraction, signs)

        def begin() -> None:
            loop.run = Run.start(out, config, resume) if out is not None else None

        world.from_main(begin)
        with loop.run or nullcontext():
            loop.resume()
            loop.fit(progress, checkpoint_seconds)
            return loop.finish(space)


def _supernet(
    network: str | Space | Supernet | nn.Module, size: Mapping[str, int], dataset: Dataset, executor: str, seed: int
) -> Supernet:
    """The supernet to be searched; ``size``: fields of the space that a schedule has changed."""
    if isinstance(network, Space):
        space = replace(network, **{key: value for key, value in size.items() if key in network.fields})
        return space.supernet(classes=dataset.classes, in_channels=dataset.channels, executor=executor, seed=seed)
    if any(key in Size._fields for key in size):
        raise ArchgradError("search: channels and cells are sizes of a space; a network of one's own has its own size")
    if isinstance(network, Supernet):
        return network
    if not isinstance(network, nn.Module):
        raise ArchgradError(f"search: expected a space, its name or a torch.nn.Module, got {type(network).__name__}")
    return Supernet(network, seed=seed)


class Search:
    """One search: its state and transitions. Everything that a checkpoint must hold is in `payload`."""

    def __init__(
        self,
        make: Callable[[Mapping[str, int], int], Supernet],
        method: Method,
        dataset: Dataset,
        world: World,
        seed: int,
        train_fraction: float,
        diagnose: Diagnose | None = None,
    ):
        self.make, self.method, self.dataset, self.world, self.seed = make, method, dataset, world, seed
        self.schedules = (*method.schedules, *([diagnose] if diagnose else []))
        self.run: Run | None = None
        """Where the main process writes; None writes nothing."""
        self.epoch = self.step = 0
        self.memory: dict[str, Any] = {}
        self._build({})
        self.state = State(self.supernet, dict(self.supernet.masks), self._observe, span=(0, method.epochs))
        first, second = datasets.split(dataset.train, train_fraction, derive(seed, "split"))
        self.architecture_part = second
        self.weight_batches = self._batches(first, "weight batches")
        self.alpha_batches = self._batches(second, "alpha batches")
        self.seconds = 0.0
        self.averages = {"train": Averages(), "validation": Averages()}
        self.alpha_history: list[dict[str, Tensor]] = []

    def _build(self, size: Mapping[str, int]) -> None:
        """The supernet of that size as the modifiers want it, and its optimisers."""
        supernet = self.make(size, self.epoch)
        require_fitting(Mixed(supernet, supernet.uniform()), self.dataset)
        with torch.random.fork_rng():  # modules that modifiers make follow from the seed, after a resume as well
            torch.manual_seed(derive(self.seed, "modifiers", self.epoch))
            for modifier in sorted(self.method.modifiers, key=lambda m: not m.rebuilds):
                modifier.prepare(supernet, size)
        if not supernet.weights():
            raise ArchgradError("search: the network has no weights to train, so its candidates cannot be told apart")
        synchronise_batch_norm(supernet.network, self.world)
        self.supernet, self.built = _placed(supernet, self.world.device), dict(size)
        weights, alphas = self.method.weight_optimiser, self.method.alpha_optimiser
        self.weight_optimiser = torch.optim.SGD(
            self.supernet.weights(),
            lr=weights.lr,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
            nesterov=weights.nesterov,
            foreach=True,
        )
        self.alpha_optimiser = torch.optim.Adam(
            self.supernet.alphas.values(), lr=alphas.lr, betas=alphas.betas, weight_decay=alphas.weight_decay
        )

    def _rebuild(self) -> None:
        """Another supernet in the middle of the run, as a schedule asked for."""
        before = self.supernet
        self._build(self.state.size)
        self.state.attach(self.supernet)
        if self.state.inherit:
            self.supernet.take_over(before)

    def _batches(self, part: Subset, purpose: str) -> Batches:
        return Batches(
            part,
            self.method.batch_size,
            seed=derive(self.seed, purpose),
            augment=self.dataset.augmentation,
            shuffle=True,
            drop_last=True,
            device=self.world.device,
            rank=self.world.rank,
            world=self.world.size,
        )

    # The way of the data

    def fit(self, progress: bool, checkpoint_seconds: float) -> None:
        """Run the epochs that are left."""
        steps, epochs = len(self.weight_batches), self.method.epochs
        with Progress(f"search {self.method.name}", epochs, steps, progress and self.world.main) as bar:
            while self.epoch < epochs and self.state.stop is None:
                self._start_epoch()
                started = saved = time.monotonic()
                alpha_batches = self.alpha_batches.stream(self.epoch * steps + self.step)
                for weight_batch in self.weight_batches.epoch(self.epoch, self.step):
                    self._step(weight_batch, next(alpha_batches))
                    self.step += 1
                    bar.at(self.epoch, self.step, self._shown)
                    if self.step % CHECK_EVERY == 0:
                        self._require_finite()
                    if self.step < steps and time.monotonic() - saved >= checkpoint_seconds and self.world.size == 1:
                        self.seconds += time.monotonic() - started
                        started = saved = time.monotonic()
                        self._require_finite(*self.averages["train"].means().values())
                        self._require_finite(*self.averages["validation"].means().values())
                        self._save()
                self.seconds += time.monotonic() - started
                self._end_epoch()

    def _step(self, weight_batch: tuple[Tensor, Tensor], alpha_batch: tuple[Tensor, Tensor]) -> None:
        train = self.objective("train", weight_batch)
        validation = self.objective("validation", alpha_batch, inner=train)
        if self.method.order == "weights-first":
            gradients = self.weight_step(train)
        if not self.state.alphas_rest:
            self._alpha_step(validation)
        if self.method.order == "alphas-first":
            gradients = self.weight_step(train)
        for number, schedule in enumerate(self.schedules):
            schedule.step_end(self.state, Step(train, validation, gradients), self._context(f"schedule {number}"))

    def objective(self, purpose: str, batch: tuple[Tensor, Tensor], inner: Objective | None = None) -> Objective:
        """The loss of a batch at the weights and randomness of this step; ``inner``: that of the weights' batch."""
        return self.method.objective(
            batch,
            self._context("relaxation", purpose),
            criterion=_cross_entropy,
            autocast=self.world.autocast,
            averaged=self._averaged,
            purpose=f"{purpose} {self.world.rank}",
            inner=inner,
            descent=self._descent() if inner else None,
            normalisation=self.dataset.train.normalisation,
        )

    def _alpha_step(self, objective: Objective) -> None:
        context = self._context("architecture_gradient", "validation")
        gradient = self.method.architecture_gradient(objective, dict(self.supernet.alphas.items()), context)
        if gradient is None:
            return
        for group, alpha in self.supernet.alphas.items():
            alpha.grad = gradient[group]
        self.alpha_optimiser.step()
        self._measure("validation", objective)

    def weight_step(self, objective: Objective) -> list[Tensor]:
        """Move the weights once; the gradients that were applied."""
        context = self._context("weight_gradient", "train")
        gradients = self.method.weight_gradient(objective, dict(self.supernet.alphas.items()), context)
        if self.method.weight_optimiser.clip is not None:
            clip(gradients, self.method.weight_optimiser.clip)
        self.weight_optimiser.zero_grad()  # weights that rest have no gradient, and stay where they are
        for weight, gradient in zip(self.supernet.weights(), gradients, strict=True):
            weight.grad = gradient
        self.weight_optimiser.step()
        self._measure("train", objective)
        return gradients

    def _measure(self, part: str, objective: Objective) -> None:
        _, y = objective.batch
        loss, logits = objective.trace.loss, objective.trace.outputs
        if loss is None or logits is None:
            return
        hits = (logits.argmax(1) == y).sum()
        self.averages[part].add(len(y), loss=loss * len(y), accuracy=hits.to(loss.dtype))

    def _averaged(self, gradients: list[Tensor]) -> list[Tensor]:
        self.world.average(gradients)
        return gradients

    def _descent(self) -> Descent:
        settings, group = self.method.weight_optimiser, self.weight_optimiser.param_groups[0]
        states = [self.weight_optimiser.state.get(weight, {}) for weight in self.supernet.weights()]
        buffers = [state.get("momentum_buffer") for state in states]
        return Descent(group["lr"], settings.momentum, group["weight_decay"], buffers)

    def _context(self, role: str, purpose: str = "") -> Context:
        clock = Clock(self.epoch, self.method.epochs, self.step, len(self.weight_batches))
        memory = self.memory.setdefault(role, {})
        return Context(self.supernet, clock, self.state.masks, memory, derive(self.seed, purpose))

    # Between epochs

    def _start_epoch(self) -> None:
        state, settings = self.state, self.method.weight_optimiser
        state.start_epoch()
        for number, schedule in enumerate(self.schedules):
            schedule.epoch_start(state, self._context(f"schedule {number}"))
        if state.size != self.built:
            self._rebuild()
        self.supernet.train()
        for number, modifier in enumerate(self.method.modifiers):
            modifier.epoch_start(self.supernet, self._context(f"modifier {number}"))
        first, end = state.span
        set_lr(self.weight_optimiser, cosine(settings.lr, settings.lr_min, (self.epoch - first) / (end - first)))
        decay = settings.weight_decay if state.weight_decay is None else state.weight_decay
        self.weight_optimiser.param_groups[0]["weight_decay"] = decay

    def _end_epoch(self) -> None:
        record: dict[str, Any] = {"epoch": self.epoch}
        for part, averages in self.averages.items():
            record |= {f"{part}_{name}": value for name, value in self._means(averages).items()}
        self._require_finite(*record.values())
        with torch.no_grad():
            mixture = self.mixture()
        found = evaluate_subset(Mixed(self.supernet, mixture), self.architecture_part, self.dataset.task, self.world)
        genotype = self._argmax()
        record |= {
            "evaluation_loss": found.loss,
            "evaluation_accuracy": found.accuracy,
            "weight_lr": self.weight_optimiser.param_groups[0]["lr"],
            "seconds": self.seconds,
            "genotype": None if genotype is None else self._text(genotype),
        }
        self.state.history.append(record)
        for number, schedule in enumerate(self.schedules):
            schedule.epoch_end(self.state, self._context(f"schedule {number}"))
        self.alpha_history.append(self._alphas())
        self.epoch, self.step = self.epoch + 1, 0
        self.averages = {part: Averages() for part in self.averages}
        if self.run:
            self.run.log(record)
            self.run.write_arrays("alphas.npz", self._alpha_arrays())
        self._save()

    def mixture(self) -> Mixture:
        """The mixture at the alphas of now."""
        return self.method.mix(dict(self.supernet.alphas.items()), self._context("relaxation", "evaluation"))

    def _means(self, averages: Averages) -> dict[str, float]:
        self.world.average(averages.sums.values())
        return averages.means()

    def _require_finite(self, *values: float) -> None:
        """Stop unless these numbers, the weights and the alphas are finite, which all processes see alike."""
        checks = torch.stack([parameter.isfinite().all() for parameter in self.supernet.parameters()])
        if np.isfinite(values).all() and bool(checks.all()):
            return
        saved = f"; the last good checkpoint in {self.run.directory} is kept" if self.run else ""
        raise ArchgradError(
            f"search: the loss or a weight is not finite in epoch {self.epoch} of {self.method.name} "
            f"(try a smaller learning rate than {self.method.weight_optimiser.lr}){saved}"
        )

    def _shown(self) -> dict[str, float]:
        return self.averages["train"].means()

    def _argmax(self) -> Genotype | None:
        """What would be found now, where that costs nothing."""
        rule = self.method.discretisation
        return None if rule.evaluates else rule(*self._settling())

    def _settling(self) -> tuple[dict[str, Tensor], Context]:
        return dict(self.supernet.alphas.items()), self._context("discretisation")

    def _text(self, genotype: Genotype) -> str:
        space = self.supernet.space
        return space.format(genotype) if space else genotype.to_json()

    def _alphas(self) -> dict[str, Tensor]:
        return {group: alpha.detach().cpu().clone() for group, alpha in self.supernet.alphas.items()}

    def _observe(self) -> Objective:
        return self.objective("observation", next(self.alpha_batches.stream(0))).observer()

    def _alpha_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        arrays = {g: torch.stack([alphas[g] for alphas in self.alpha_history]) for g in self.supernet.alphas}
        for group, mask in self.supernet.masks.items():
            arrays[group].masked_fill_(~mask, float("-inf"))
        return {group: array.numpy() for group, array in arrays.items()}

    # Checkpoints

    def payload(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "supernet": self.supernet.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "averages": {part: averages.state() for part, averages in self.averages.items()},
            "alpha_history": self.alpha_history,
            "memory": self.memory,
            "masks": self.state.masks,
            "stop": self.state.stop,
            "size": self.state.size,
            "span": self.state.span,
            "history": self.state.history,
        }

    def _save(self) -> None:
        if self.run:
            self.run.save_checkpoint(self.payload(), self.epoch * len(self.weight_batches) + self.step)

    def resume(self) -> None:
        """Continue from the newest undamaged checkpoint, if there is one; its history is the one that counts."""
        saved = self.world.from_main(lambda: self.run.load_checkpoint() if self.run else None)
        if saved is None:
            self._share_weights()
            self.alpha_history = [self._alphas()]
            self._save()
            return
        self.epoch, self.step, self.seconds = saved["epoch"], saved["step"], saved["seconds"]
        self.state.size, self.state.span = saved["size"], saved["span"]
        if self.state.size != self.built:
            self._rebuild()
        self.supernet.load_state_dict(saved["supernet"])
        self.weight_optimiser.load_state_dict(saved["weight_optimiser"])
        self.alpha_optimiser.load_state_dict(saved["alpha_optimiser"])
        for part, averages in self.averages.items():
            averages.restore(saved["averages"][part], self.world.device)
        self.alpha_history, self.memory = saved["alpha_history"], saved["memory"]
        self.state.masks, self.state.stop, self.state.history = saved["masks"], saved["stop"], saved["history"]
        if self.run:
            self.run.truncate_history(0)
            for record in self.state.history:
                self.run.log(record)
        if self.epoch and (self.epoch == self.method.epochs or self.state.stop):
            self.epoch -= 1  # what rests, and what modules remember, as in the last epoch: the end may train once more
            self._start_epoch()
            self.epoch += 1

    def _share_weights(self) -> None:
        """Start all processes from the main process's weights: those of a user's network may differ."""
        if self.world.size > 1:
            state = self.world.from_main(lambda: {n: t.cpu() for n, t in self.supernet.state_dict().items()})
            self.supernet.load_state_dict(state)

    # The end

    def finish(self, space: Space | None) -> SearchResult:
        """Settle the alphas and write the results."""
        score = SupernetAccuracy(self)
        genotype = self.method.discretisation(*self._settling(), score)
        build = _builder(space, self.supernet, genotype, self.dataset)
        result = SearchResult(
            genotype,
            self._alpha_arrays(),
            self.state.history,
            self.run.directory if self.run else None,
            self.supernet,
            build,
        )
        if self.run:
            self._write(result, space)
        return result

    def _write(self, result: SearchResult, space: Space | None) -> None:
        assert self.run is not None
        last = self.state.history[-1] if self.state.history else {}
        text = self._text(result.genotype)
        summary: dict[str, Any] = {
            "genotype": text,
            "space": space.name if space else type(self.supernet.network).__name__,
            "method": self.method.name,
            "data": self.dataset.name,
            "parameters": sum(p.numel() for p in result.build().parameters()),
            "validation_accuracy": last.get("evaluation_accuracy"),
            "seconds": self.seconds,
            "epochs": self.epoch,
            "stopped": self.state.stop,
            "groups": {
                name: {
                    "operations": list(group.operations),
                    "edges": [[edge.source, edge.target] for edge in group.edges],
                    "inputs": min(edge.target for edge in group.edges),
                }
                for name, group in self.supernet.groups.items()
            },
        }
        if space and self.dataset.image_size:
            summary["flops"] = space.as_searched().flops(
                result.genotype,
                classes=self.dataset.classes,
                in_channels=self.dataset.channels,
                image_size=self.dataset.image_size,
                unreached=False,
            )
        self.run.write_arrays("alphas.npz", result.alphas)
        self.run.write_json("genotype.json", {**result.genotype.to_dict(), "text": text})
        self.run.write_json("result.json", summary)


def _builder(space: Space | None, supernet: Supernet, genotype: Genotype, dataset: Dataset) -> Callable[..., nn.Module]:
    def build(**options: Any) -> nn.Module:
        if space is None:
            return supernet.settle(genotype, **options)
        fixed = {"classes": dataset.classes, "in_channels": dataset.channels}
        return space.as_searched().network(genotype, **{**fixed, **options})

    return build


def _placed(supernet: Supernet, device: torch.device) -> Supernet:
    """The supernet on the device, images' weights channels last; torch refuses that layout for weights of volumes."""
    volumes = any(parameter.dim() == 5 for parameter in supernet.parameters())
    layout = torch.preserve_format if volumes else torch.channels_last
    return supernet.to(device, memory_format=layout)  # type: ignore[call-overload,no-any-return]


def _cross_entropy(logits: Any, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(widened(logits), y)
