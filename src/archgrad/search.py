"""The search: alternating steps of alphas and weights, epoch by epoch, exactly resumable."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archgrad import data as datasets
from archgrad import methods, spaces
from archgrad.alpha_lr import AlphaLr, auto
from archgrad.bilevel import Bilevel, MakeSupernet
from archgrad.callbacks import Callback
from archgrad.context import Clock, Context
from archgrad.data import Batches, Dataset, Subset
from archgrad.data.fingerprint import fingerprint
from archgrad.data.load import recorded
from archgrad.decision import Decision, decision
from archgrad.distributed import World
from archgrad.errors import ArchgradError, require_whole, shown
from archgrad.evaluation import INHERITED, evaluate_subset, in_type_of, load_shared, packed
from archgrad.foreign import layout
from archgrad.genotype import Genotype
from archgrad.loop import Loop
from archgrad.method import Method, describe
from archgrad.nested import leaves
from archgrad.objective import Objective
from archgrad.optim import cosine, set_lr
from archgrad.randomness import derive, seed_torch
from archgrad.regularisers.cost import Cost, latency
from archgrad.schedules import Diagnose
from archgrad.spaces import Space
from archgrad.spaces.space import Size
from archgrad.state import SearchStep, State
from archgrad.supernet import Mixed, Supernet
from archgrad.supernet_score import SupernetScore
from archgrad.tracking import callbacks as followers


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    ``alphas``: group → ``[epochs+1, edges, ops]``, the initial ones first; −inf where an edge of the space lacks that
    candidate, or the method leaves it out.
    """

    genotype: Genotype
    alphas: dict[str, np.ndarray[Any, Any]]
    history: list[dict[str, Any]]
    directory: Path | None
    supernet: Supernet = field(repr=False)
    build: Callable[..., nn.Module] = field(repr=False)
    """The settled network in the size of the supernet, freshly initialised; with ``inherit=True`` with its weights."""
    decision: Decision | None = None
    """How far ahead the winners are; None where alphas were not trained, or do not decide alone."""
    undecided: str | None = None
    """What makes the genotype less than a result, in words; None where nothing does."""


def search(
    network: str | Space | Supernet | nn.Module = "nasbench201",
    method: str | Method = methods.recommended,
    data: str | Path | Dataset = "digits",
    *,
    image_size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    train_fraction: float = 0.5,
    executor: str = "auto",
    checkpoint_cells: bool = False,
    graphs: bool = False,
    out: Path | str | None = None,
    device: str | torch.device | None = None,
    mixed_precision: str = "no",
    evaluate: int = 1,
    diagnose: int | Diagnose = 5,
    numbered: bool = False,
    resume: bool = True,
    changed: str = "refuse",
    extend: bool = False,
    progress: bool = True,
    checkpoint_seconds: float = 60.0,
    track: str | None = None,
    callbacks: Sequence[Callback] = (),
    **reading: Any,
) -> SearchResult:
    """Search an architecture.

    ``network``: a space, whose fields are the size of the supernet, or its name, or any module with choices.
    ``method``: a `Method`, or the name of one, then with its published settings for the space.
    ``image_size``: bring images to this many pixels first. ``epochs``, ``batch_size``: the method's; ``batch_size`` is
    that of one process. ``reading``: ``limit``, ``unreadable``, ``label_column``, ``class_weights`` as
    `archgrad.data.load`.
    ``train_fraction`` of the training set trains the weights, the rest the alphas; the split is stratified and follows
    from ``seed``.
    ``checkpoint_cells``: keep little of a cell for backward and compute it again there; it changes no result.
    ``graphs``: on a GPU, record the passes of a step as CUDA graphs and launch each as a whole.
    ``evaluate``: measure the supernet on the part of the alphas after every so many epochs, and after the last one; 0
    for that one only. It does not change the search, and takes about an eighth of its time.
    ``diagnose``: look for signs of collapse every so many epochs, or as a given `Diagnose` says; 0 for never. It does
    not change the search.
    ``out``: run directory; a search that was interrupted there is continued exactly. None writes nothing. It may be
    continued on another device or by another executor, which changes the rounding. With other data, or other
    candidates or shapes of a network of your own, it is refused, unless ``changed`` is ``"accept"``. ``numbered``:
    where another run is there, the directory with the next number is taken, as in ``runs/x-2``. ``extend``: the search
    there had fewer epochs, and goes on as one of so many does from there: a learning rate that had fallen rises again.
    A search whose schedules have pruned, rebuilt or stopped it cannot be extended. ``track``: an experiment tracker
    that is told of the search, ``tensorboard``, ``wandb``, ``mlflow`` or ``trackio``; ``callbacks``: others that are.

    Raises ArchgradError for unusable settings, and when the loss stops being finite; the last good checkpoint stays.
    """
    space = spaces.get(network) if isinstance(network, str) else network if isinstance(network, Space) else None
    method, following = _method(method, space, epochs, batch_size), followers(callbacks, track)
    world = World.start(device, mixed_precision)
    dataset = in_type_of(network, load_shared(data, world, image_size=image_size, **reading))

    make = partial(_made, space or network, dataset, executor, checkpoint_cells, seed)
    with torch.random.fork_rng():
        config = (
            _subject(space or network, method, data, dataset)
            | recorded({"image_size": image_size, **reading})
            | {"seed": seed, "train_fraction": train_fraction, **world.settings()}
        )
        # Before the run directory is claimed: settings that cannot work leave nothing behind.
        loop = Search(make, method, dataset, world, seed, train_fraction, _signs(diagnose), space, graphs, evaluate)
        with loop.started(out, config, resume, loop.inputs, changed, extend=extend, numbered=numbered):
            loop.begin()
            with loop.followed(following, config):
                loop.fit(progress, checkpoint_seconds)
                return loop.finish(space)


def _subject(network: Any, method: Method, data: str | Path | Dataset, dataset: Dataset) -> dict[str, Any]:
    """What is searched, how, and on which data, as a run records it."""
    own = {"space": type(getattr(network, "network", network)).__name__}
    return {
        "command": "search",
        **(spaces.record(network) if isinstance(network, Space) else own),
        "data": str(data) if isinstance(data, str | Path) else dataset.name,
        "task": dataset.task.reading.record(),
        "method": describe(method),
    }


def _method(method: str | Method, space: Space | None, epochs: int | None, batch_size: int | None) -> Method:
    """The method that is meant, with other lengths where some are given."""
    if not isinstance(method, str | Method):
        raise ArchgradError(f"search: method must be a Method or the name of one, got {shown(method)}")
    if isinstance(method, str):
        method = methods.get(method, space.name if space else "")
    _require_space(method, space)
    return replace(
        method,
        epochs=method.epochs if epochs is None else epochs,
        batch_size=method.batch_size if batch_size is None else batch_size,
    )


def _require_space(method: Method, space: Space | None) -> None:
    """Refuse schedules that have the supernet built anew where there is nothing but a network to search."""
    for schedule in method.schedules:
        if space is None and schedule.needs:
            raise ArchgradError(
                f"{type(schedule).__name__} needs {schedule.needs}: a network of your own is as it is "
                "(docs/tutorial-space.md makes a space of one)"
            )


def _signs(diagnose: int | Diagnose) -> Diagnose | None:
    """What looks for signs of collapse, if anything does."""
    if isinstance(diagnose, Diagnose):
        return diagnose
    require_whole("search", 0, diagnose=diagnose)
    return Diagnose(diagnose) if diagnose else None


def _made(
    network: str | Space | Supernet | nn.Module,
    dataset: Dataset,
    executor: str,
    checkpoint_cells: bool,
    seed: int,
    size: Mapping[str, int],
    epoch: int,
) -> Supernet:
    """The supernet with its first weights of that epoch, in which a schedule asks for it."""
    with torch.random.fork_rng():
        seed_torch(seed, "weights", *([epoch] if epoch else []))
        return _supernet(network, size, dataset, executor, checkpoint_cells, seed)


def _supernet(
    network: str | Space | Supernet | nn.Module,
    size: Mapping[str, int],
    dataset: Dataset,
    executor: str,
    checkpoint_cells: bool,
    seed: int,
) -> Supernet:
    """The supernet to be searched; ``size``: fields of the space that a schedule has changed."""
    if isinstance(network, Space):
        space = replace(network, **{key: value for key, value in size.items() if key in network.fields})
        how: dict[str, Any] = {"executor": executor}
        if checkpoint_cells:  # only where asked for: the supernet of a space of your own may not have it
            if "checkpoint_cells" not in inspect.signature(space.supernet).parameters:
                raise ArchgradError(f"search: the supernets of {space.name} have no checkpoint_cells")
            how["checkpoint_cells"] = True
        return space.supernet(**space.fitting(dataset), **how, seed=seed)
    if any(key in Size._fields for key in size):
        raise ArchgradError("search: channels and cells are sizes of a space; a network of your own has its own size")
    if executor != "auto" or checkpoint_cells:
        what = f"executor {executor!r}" if executor != "auto" else "checkpoint_cells"
        raise ArchgradError(f"search: {what} is for spaces; a network of your own says how it is computed")
    if isinstance(network, Supernet):
        return network
    if not isinstance(network, nn.Module):
        raise ArchgradError(f"search: expected a space, its name or a torch.nn.Module, got {type(network).__name__}")
    return Supernet(network, seed=seed)


class Search(Loop):
    """One search: what its steps and epochs do beside what every `Loop` does."""

    length = "method.init_args.epochs"

    def __init__(
        self,
        make: MakeSupernet,
        method: Method,
        dataset: Dataset,
        world: World,
        seed: int,
        train_fraction: float,
        diagnose: Diagnose | None = None,
        space: Space | None = None,
        graphs: bool = False,
        evaluate: int = 1,
    ):
        require_whole("search", 0, evaluate=evaluate)
        self.evaluate_every = evaluate
        super().__init__(method.epochs, world, dataset.task, parts=("train", "validation"))
        self.title, self.learning_rate = f"search {method.name}", method.weight_optimiser.lr
        self.method, self.dataset, self.seed, self.space = method, dataset, seed, space.name if space else ""
        self.schedules = (*method.schedules, *([diagnose] if diagnose else []))
        first, second = datasets.split(dataset.train, train_fraction, derive(seed, "split"))
        self.architecture_part = second
        self.batches = self._batches(first, "weight batches")
        self.alpha_batches = self._batches(second, "alpha batches")
        self.alpha_lr: AlphaLr | None = None
        if method.alpha_optimiser.lr == "auto":
            self.alpha_lr = auto(method, self.space, self.steps)
            alphas = replace(method.alpha_optimiser, lr=self.alpha_lr.lr)
            self.method = method = replace(method, alpha_optimiser=alphas)
        self.bilevel = Bilevel(make, method, dataset, world, seed, graphs)
        self.state = State(self.supernet, method.masks(self.supernet.groups), self._observe, span=(0, method.epochs))
        self.alpha_history: list[dict[str, Tensor]] = []

    @property
    def supernet(self) -> Supernet:
        """The supernet as it is now; schedules may have it rebuilt."""
        return self.bilevel.supernet

    @property
    def network(self) -> nn.Module:
        """What a checkpoint saves: weights and alphas."""
        return self.supernet

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record per epoch, to which schedules may add."""
        return self.state.history

    @property
    def stop(self) -> str | None:
        """Why a schedule ends the search."""
        return self.state.stop

    def _batches(self, part: Subset, purpose: str, drop_last: bool = True) -> Batches:
        return Batches(
            part,
            self.method.batch_size,
            seed=derive(self.seed, purpose),
            augment=self.dataset.augmentation,
            shuffle=True,
            drop_last=drop_last,
            device=self.world.device,
            rank=self.world.rank,
            world=self.world.size,
        )

    @property
    def clock(self) -> Clock:
        """Epoch and step."""
        return Clock(self.epoch, self.epochs, self.step, self.steps)

    def _context(self, role: str, purpose: str = "") -> Context:
        return self.bilevel.context(role, self.clock, self.state.masks, purpose)

    def objective(self, purpose: str, batch: tuple[Any, Any], inner: Objective | None = None) -> Objective:
        """The loss of a batch in this step; ``inner``: that of the weights' batch."""
        return self.bilevel.objective(purpose, batch, self.clock, self.state.masks, inner)

    def _observe(self) -> Objective:
        return self.objective("observation", next(self.alpha_batches.stream(0))).observer()

    # Steps

    def train_step(self, batch: Any) -> None:
        train = self.objective("train", batch)
        validation = self.objective("validation", next(self.alpha_stream), inner=train)
        if self.method.order == "weights-first":
            gradients = self.bilevel.weight_step(train)
        if not self.state.alphas_rest and self.bilevel.alpha_step(validation):
            self._measure("validation", validation)
        if self.method.order == "alphas-first":
            gradients = self.bilevel.weight_step(train)
        self._measure("train", train)
        for number, schedule in enumerate(self.schedules):
            schedule.step_end(self.state, SearchStep(train, validation, gradients), self._context(f"schedule {number}"))

    def _measure(self, part: str, objective: Objective) -> None:
        (_, y), trace = objective.batch, objective.trace
        if trace.loss is None or trace.outputs is None:
            return
        count = len(leaves(y)[0])
        sums = {"loss": trace.loss * count, **self.dataset.task.running(trace.outputs, y)}
        self.averages[part].add(count, **{name: value.to(trace.loss.dtype) for name, value in sums.items()})

    def remedy(self) -> str:
        """Alphas diverge by their own learning rate; once they have, all else follows within a step."""
        weights, alphas = f"{self.learning_rate:g} (weights)", f"{self.method.alpha_optimiser.lr:g} (alphas)"
        if all(bool(alpha.isfinite().all()) for alpha in self.bilevel.alphas.values()):
            return f"try a smaller learning rate than {weights}, or gradient clipping"
        if all(bool(weight.isfinite().all()) for weight in self.supernet.weights()):
            return f"try a smaller learning rate than {alphas}"
        return f"try smaller learning rates than {weights} and {alphas}, or gradient clipping"

    # Epochs

    def start_epoch(self) -> None:
        state, settings = self.state, self.method.weight_optimiser
        state.start_epoch()
        state.alphas_rest = any(schedule.rests(self.epoch, self.epochs) for schedule in self.schedules)
        for number, schedule in enumerate(self.schedules):
            schedule.epoch_start(state, self._context(f"schedule {number}"))
        if state.size != self.bilevel.size:
            self._rebuild()
        self.supernet.train()
        for number, modifier in enumerate(self.method.modifiers):
            modifier.epoch_start(self.supernet, self._context(f"modifier {number}"))
        first, end = state.span
        lr = cosine(settings.lr, settings.lr_min, (self.epoch - first) / (end - first))
        set_lr(self.bilevel.weight_optimiser, lr)
        decay = settings.weight_decay if state.weight_decay is None else state.weight_decay
        self.bilevel.weight_optimiser.param_groups[0]["weight_decay"] = decay
        self.alpha_stream = self.alpha_batches.stream(self.epoch * self.steps + self.step)

    def _rebuild(self) -> None:
        """Another supernet in the middle of the run, as a schedule asked for."""
        before = self.supernet
        self.bilevel.build(self.state.size, self.epoch)
        self.state.attach(self.supernet)
        if self.state.inherit:
            self.supernet.take_over(before)
        else:
            self.bilevel.alpha_steps = 0

    def end_epoch(self, record: dict[str, Any]) -> None:
        ended = self.epoch + 1
        evaluated = ended == self.epochs or bool(self.evaluate_every and ended % self.evaluate_every == 0)
        if evaluated:
            record |= self._evaluation()
        genotype = self._argmax()
        record |= {
            "weight_lr": self.bilevel.weight_optimiser.param_groups[0]["lr"],
            "seconds": self.seconds,
            "genotype": None if genotype is None else self._text(genotype),
        }
        self.history.append(record)
        for number, schedule in enumerate(self.schedules):
            schedule.epoch_end(self.state, self._context(f"schedule {number}"))
        if self.state.stop and not evaluated:
            record |= self._evaluation()
        self.alpha_history.append(self._alphas())
        if self.run:
            self.run.write_arrays("alphas.npz", self._alpha_arrays())

    def _evaluation(self) -> dict[str, Any]:
        """The supernet's loss and score on the part of the alphas."""
        with torch.no_grad():
            mixture = self.bilevel.mixture(self.clock, self.state.masks)
        network, task = Mixed(self.supernet, mixture), self.dataset.task
        found = evaluate_subset(network, self.architecture_part, task, self.world)
        return {"evaluation_loss": found.loss, f"evaluation_{found.primary}": found.score}

    def _argmax(self) -> Genotype | None:
        """What would be found now, where that costs nothing."""
        rule = self.method.discretisation
        return None if rule.evaluates else rule(self.bilevel.alphas, self._context("discretisation"))

    def _text(self, genotype: Genotype) -> str:
        space = self.supernet.space
        return space.format(genotype) if space else genotype.to_json()

    def _alphas(self) -> dict[str, Tensor]:
        return {group: alpha.detach().cpu().clone() for group, alpha in self.supernet.alphas.items()}

    def _alpha_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        arrays = {g: torch.stack([alphas[g] for alphas in self.alpha_history]) for g in self.supernet.alphas}
        for group, mask in self.method.masks(self.supernet.groups).items():
            arrays[group].masked_fill_(~mask, float("-inf"))
        return {group: array.numpy() for group, array in arrays.items()}

    # Checkpoints

    def inputs(self) -> dict[str, Any]:
        """What identifies the data and the network."""
        return {"data": fingerprint(self.dataset), "network": self.supernet.record()}

    @property
    def may_stop_within_epochs(self) -> bool:
        """Several processes average what they have seen at the end of an epoch only."""
        return self.world.size == 1

    def payload(self) -> dict[str, Any]:
        return {
            "bilevel": self.bilevel.state(),
            "alpha_history": self.alpha_history,
            "masks": self.state.masks,
            "stop": self.state.stop,
            "size": self.state.size,
            "span": self.state.span,
        }

    def restore(self, payload: Mapping[str, Any]) -> None:
        state = self.state
        if self.extends:
            self._require_extensible(payload)
        state.masks, state.stop, state.size = payload["masks"], payload["stop"], payload["size"]
        state.span, self.alpha_history = payload["span"], list(payload["alpha_history"])
        self._require_fitting(state)
        if state.size != self.bilevel.size:
            self._rebuild()
        self.bilevel.restore(payload["bilevel"])
        if self.extends:
            state.span = (0, self.epochs)
            self.bilevel.set_alpha_lr()

    def _require_extensible(self, payload: Mapping[str, Any]) -> None:
        """Refuse what further epochs would have to undo."""
        masks = self.supernet.masks
        done = {
            f"was stopped ({payload['stop']})": payload["stop"] is not None,
            "was rebuilt": bool(payload["size"]) or payload["span"][0] > 0,
            "was pruned": any(bool((payload["masks"][name] != mask).any()) for name, mask in masks.items()),
        }
        for what, so in done.items():
            if so:
                raise ArchgradError(f"{self.title}: it {what} by a schedule, at the time of a shorter search")

    def _require_fitting(self, state: State) -> None:
        """Within `layout.expected`: refuse what a checkpoint says of another search."""
        first, end = state.span
        layout.require(0 <= first <= end and isinstance(state.size, dict), f"span {state.span}, size {state.size}")
        layout.require(state.stop is None or isinstance(state.stop, str), "the reason to stop")
        layout.require(all(mask.dtype == torch.bool for mask in state.masks.values()), "masks")
        own: list[tuple[Mapping[str, Tensor], Mapping[str, Tensor]]] = [(self.supernet.masks, state.masks)]
        own += [(dict(self.supernet.alphas), alphas) for alphas in self.alpha_history]
        for ours, groups in own:
            layout.require(set(groups) == set(ours), f"groups {', '.join(groups)}")
            for name, values in groups.items():
                layout.require(values.shape == ours[name].shape, f"{list(values.shape)} in {name}")

    def begin(self) -> None:
        """Start, or go on from the newest checkpoint."""
        if not self.resume():
            self.alpha_history = [self._alphas()]
            self.save()
        elif self.epoch and (self.epoch == self.epochs or self.stop):
            self.epoch -= 1  # what rests, and what modules remember, as in the last epoch: the end may train once more
            self.start_epoch()
            self.epoch += 1

    # The end

    def finish(self, space: Space | None) -> SearchResult:
        """Settle the alphas and write the results."""
        # A last batch of one input, or of none on one of several processes, has no statistics.
        incomplete = self.world.size > 1 or len(self.architecture_part) % self.method.batch_size == 1
        whole = self._batches(self.architecture_part, "alpha batches", drop_last=incomplete)
        score = SupernetScore(self.bilevel, self.batches, self.alpha_batches, whole, self.clock)
        genotype = self.method.discretisation(self.bilevel.alphas, self._context("discretisation"), score)
        directory = self.run.directory if self.run else None
        build = _builder(space, self.supernet, genotype, self.dataset)
        decided = self._decision()
        result = SearchResult(
            genotype,
            self._alpha_arrays(),
            self.history,
            directory,
            self.supernet,
            build,
            decided,
            decided.text(self._suggested()) if decided else None,
        )
        summary = self._summary(result, space) if self.run or self.callbacks else {}
        if self.run:
            self.run.write_arrays("alphas.npz", result.alphas)
            self.run.write_json("genotype.json", {**genotype.to_dict(), "text": self._text(genotype)})
            self.run.write_json("result.json", summary)
            if space:
                with suppress(ArchgradError):  # of a supernet that cannot be settled there are no such weights
                    self.run.write_bytes(INHERITED, packed(self.supernet.settle(genotype, inherit=True)))
        for callback in self.callbacks:
            callback.on_end(summary)
        return result

    def _decision(self) -> Decision | None:
        """How decided the alphas are, where they alone decide."""
        lr = self.method.alpha_optimiser.lr
        if self.method.discretisation.evaluates or isinstance(lr, str):
            return None
        context = self._context("discretisation")
        return decision(self.method.relaxation, self.bilevel.alphas, context, lr, self.bilevel.alpha_steps)

    def _suggested(self) -> float | None:
        """What the learning rate of alphas would be by "auto"; None for methods of which nothing is published."""
        try:
            return auto(self.method, self.space, self.steps).lr
        except ArchgradError:
            return None

    def _summary(self, result: SearchResult, space: Space | None) -> dict[str, Any]:
        last, primary = self.history[-1] if self.history else {}, self.dataset.task.primary
        summary: dict[str, Any] = {
            "genotype": self._text(result.genotype),
            "space": space.name if space else type(self.supernet.network).__name__,
            "method": self.method.name,
            "data": self.dataset.name,
            "parameters": sum(p.numel() for p in result.build().parameters()),
            f"validation_{primary}": last.get(f"evaluation_{primary}"),
            "seconds": self.seconds,
            "epochs": self.epoch,
            "stopped": self.stop,
            "executors": sorted(self.usage.executors),
            "alpha_lr": asdict(self.alpha_lr) if self.alpha_lr else self.method.alpha_optimiser.lr,
            "decision": result.decision and {**asdict(result.decision), "verdict": result.decision.verdict},
            "undecided": result.undecided,
            "groups": {
                name: {
                    "operations": list(group.operations),
                    "edges": [[edge.source, edge.target] for edge in group.edges],
                    "inputs": min(edge.target for edge in group.edges),
                }
                for name, group in self.supernet.groups.items()
            },
        }
        if any(isinstance(term, Cost) and term.kind == "latency" for term in self.method.regularisers):
            network = result.build().to(self.world.device)
            summary |= {"latency_ms": latency(network, self.dataset.train), "device": str(self.world.device)}
        if space and self.dataset.image_size:
            summary["flops"] = space.as_searched().flops(
                result.genotype,
                **space.fitting(self.dataset),
                image_size=self.dataset.image_size,
                unreached=False,
            )
        return summary


def _builder(space: Space | None, supernet: Supernet, genotype: Genotype, dataset: Dataset) -> Callable[..., nn.Module]:
    def build(inherit: bool = False, **options: Any) -> nn.Module:
        if space is None or inherit:
            return supernet.settle(genotype, inherit=inherit, **options)
        return space.as_searched().network(genotype, **{**space.fitting(dataset), **options})

    return build
