"""Evaluating a network, and giving it the weights of a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from archgrad import data as datasets
from archgrad.data import Batches, Dataset, Subset
from archgrad.data.dataset import shape_text
from archgrad.distributed import World
from archgrad.engine import forced
from archgrad.errors import ArchgradError, reason
from archgrad.foreign import files, layout
from archgrad.nested import any_nan, called, leaves, mapped
from archgrad.progress import Progress
from archgrad.tasks import Task

WEIGHTS = "weights.safetensors"
INHERITED = "inherited.safetensors"
"""Of a search: the found network with the weights of the supernet."""


@dataclass(frozen=True)
class Evaluation:
    """What a network does on data: the mean loss, the task's metrics by name, and the number of inputs.

    Metrics are attributes as well: `found.accuracy` is `found.metrics["accuracy"]`.
    """

    loss: float
    metrics: dict[str, float]
    count: int
    task: Task = field(repr=False, compare=False)

    @property
    def primary(self) -> str:
        """The name of the metric that counts."""
        return self.task.primary

    @property
    def score(self) -> float:
        """The metric that counts."""
        return self.loss if self.primary == "loss" else self.metrics[self.primary]

    @property
    def merit(self) -> float:
        """The metric that counts, negated where less is better."""
        return self.task.merit(self.score)

    def record(self) -> dict[str, float]:
        """All numbers by name, as runs record them."""
        return {"loss": self.loss, **self.metrics, "count": self.count}

    @classmethod
    def of(cls, record: Mapping[str, float], task: Task) -> Evaluation:
        """An evaluation that was recorded."""
        metrics = {name: value for name, value in record.items() if name not in ("loss", "count")}
        return cls(record["loss"], metrics, int(record["count"]), task)

    def __str__(self) -> str:
        metrics = [f"{self.task.label(name)} {self.task.written(name, value)}" for name, value in self.metrics.items()]
        return ", ".join([*metrics, f"loss {self.loss:.4f}"])

    def __getattr__(self, name: str) -> float:
        metrics = self.__dict__.get("metrics", {})  # which a copy does not have yet
        if name not in metrics:
            raise AttributeError(f"this evaluation has no {name!r}; it has {', '.join(['loss', *metrics])}")
        return float(metrics[name])


def evaluate(
    network: nn.Module,
    data: str | Path | Dataset = "digits",
    split: str = "test",
    *,
    device: str | torch.device | None = None,
    mixed_precision: str = "no",
    batch_size: int = 512,
    progress: bool = False,
) -> Evaluation:
    """Loss and metrics of a network on the training or the test part of a dataset, without augmentation.

    The network is moved to the device and keeps its mode. ``progress``: show it, as searches do. Raises ArchgradError
    if it does not fit the data.
    """
    world = World.start(device, mixed_precision)
    dataset = in_type_of(network, load_shared(data, world))
    require_fitting(network, dataset)
    subset, show = dataset.subset(split), progress and world.main
    with Progress(f"evaluate {split}", 1, -(-len(subset) // batch_size), show, unit="batches") as bar:
        return evaluate_subset(network.to(world.device), subset, dataset.task, world, batch_size, bar)


def load_weights(network: nn.Module, path: Path | str) -> nn.Module:
    """Give a network the weights of a safetensors file, or of a training run's directory.

    Raises ArchgradError if the file is missing or damaged, or was written for another network (naming a difference).
    """
    path = Path(path)
    if path.is_dir():
        path = path / WEIGHTS
    state, _ = read_weights(path)
    with layout.expected(str(path)):
        load_state(network, state, str(path))
    return network


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file, and the texts beside them."""
    try:
        files.require_regular(path)
        with safetensors.safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except files.MissingError:
        raise ArchgradError(f"{path}: no such weights file") from None
    except (OSError, SafetensorError, *layout.STUMBLES) as error:
        raise ArchgradError(f"{path}: not a readable safetensors file ({' '.join(str(error).split())})") from None


def packed(network: nn.Module, metadata: Mapping[str, str] | None = None) -> bytes:
    """The weights and buffers of a network as a safetensors file, with texts beside them."""
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(state, metadata=None if metadata is None else dict(metadata))


@torch.no_grad()
def evaluate_subset(
    network: nn.Module, subset: Subset, task: Task, world: World, batch_size: int = 512, bar: Progress | None = None
) -> Evaluation:
    """Loss and metrics on a subset, computed by all processes together; the network keeps its mode."""
    training = network.training
    network.eval()
    batches = Batches(subset, -(-batch_size // world.size), device=world.device, rank=world.rank, world=world.size)
    accumulator = Accumulator(task, world)
    for number, (x, y) in enumerate(batches.epoch(), start=1):
        with world.autocast():
            outputs = called(network, x)
        accumulator.add(outputs, y)
        if bar is not None:
            bar.at(0, number)
    network.train(training)
    return accumulator.evaluation()


class Accumulator:
    """Adds up batches, which several processes may share, to an evaluation; all NaN where a network's outputs are."""

    def __init__(self, task: Task, world: World) -> None:
        self.task, self.world = task, world
        self.metrics = task.make_metrics(world.device)
        precise = torch.float32 if world.device.type == "mps" else torch.float64
        # Of losses, of their weights, of inputs, and of batches with outputs that are no numbers.
        self.sums = torch.zeros(4, device=world.device, dtype=precise)

    def add(self, outputs: Any, targets: Any) -> None:
        """Count a batch."""
        loss, weight = self.task.summed_loss(outputs, targets)
        inputs, unknown = torch.full_like(loss, len(leaves(targets)[0])), any_nan(outputs).to(loss)
        self.sums += torch.stack([loss, weight, inputs, unknown])
        self.task.update(self.metrics, outputs, targets)

    def evaluation(self) -> Evaluation:
        """What all processes have counted together."""
        sums = self.sums.clone()
        self.world.sum([sums])
        loss, weight, count, unknown = sums.tolist()
        mean, metrics = loss / weight if weight else math.nan, self.task.computed(self.metrics)
        if unknown:  # the largest of several numbers that are none is still one of the classes
            mean, metrics = math.nan, dict.fromkeys(metrics, math.nan)
        return Evaluation(mean, metrics, int(count), self.task)


def load_shared(data: str | Path | Dataset, world: World, **options: Any) -> Dataset:
    """Load a dataset on every process; a download is for one process, while the others wait. Options as `data.load`."""
    if world.size > 1 and not isinstance(data, Dataset):
        world.from_main(lambda: datasets.load(data, **options) and None)
        options["quiet"] = True
    return datasets.load(data, **options)


def in_type_of(network: object, dataset: Dataset) -> Dataset:
    """The dataset with the floats it holds in the type of the network's weights, or for a space in torch's default."""
    weights = network.parameters() if isinstance(network, nn.Module) else ()
    kinds = {weight.dtype for weight in weights if weight.is_floating_point()} or {torch.get_default_dtype()}
    kind = kinds.pop()
    if kinds or kind not in (torch.float32, torch.float64):
        return dataset

    def converted(x: Tensor) -> Tensor:
        return x.to(kind) if x.dtype in (torch.float32, torch.float64) else x

    def part(subset: Subset) -> Subset:
        return subset if subset.streams else replace(subset, inputs=mapped(converted, subset.inputs))

    return replace(dataset, train=part(dataset.train), test=part(dataset.test))


@torch.no_grad()
def require_fitting(network: nn.Module, dataset: Dataset) -> None:
    """Try two inputs, so that a network that cannot take them is one line here and not a traceback later.

    No run has begun yet, which knows whether it has native code: cells are computed without it.
    """
    x, y = next(Batches(dataset.train.take(torch.arange(2) % len(dataset.train)), 2, workers=0).epoch())
    training = network.training
    network.eval()
    device = next(network.parameters(), torch.empty(0)).device
    x, y = (mapped(lambda tensor: tensor.to(device), part) for part in (x, y))
    try:
        with forced("plain"):
            outputs = called(network, x)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ArchgradError(
            f"the network cannot take inputs of {dataset.name}, of shape {shape_text(dataset.shape)}: {reason(error)}"
        ) from None
    finally:
        network.train(training)
    dataset.task.require_outputs(outputs, y, dataset.name)


def load_state(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Give a network a state, by copying where it has memory of its own, or say in one line in what they differ."""
    require_state(network, state, where)
    assign = any(tensor.is_meta for tensor in network.state_dict().values())
    network.load_state_dict(dict(state), assign=assign)


def require_state(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Say in one line in what a state differs from that of a network."""
    own = network.state_dict()
    missing, foreign = [name for name in own if name not in state], [name for name in state if name not in own]
    if missing or foreign:
        lack = f"{missing[0]!r} is not among them" if missing else f"the network has no {foreign[0]!r}"
        raise ArchgradError(f"{where}: weights of another network ({lack})")
    for name, tensor in own.items():
        if tensor.shape != state[name].shape:
            raise ArchgradError(
                f"{where}: weights of another network ({name!r} is {list(state[name].shape)}, "
                f"the network has {list(tensor.shape)})"
            )
