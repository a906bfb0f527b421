"""Evaluating a network, and giving it the weights of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from archgrad import data as datasets
from archgrad.data import Batches, Dataset, Subset
from archgrad.distributed import World
from archgrad.errors import ArchgradError

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Metrics:
    """Mean cross-entropy in nats, shares of inputs whose class comes first and among the first five, their count."""

    loss: float
    accuracy: float
    top5: float
    count: int


def evaluate(
    network: nn.Module,
    data: str | Path | Dataset = "digits",
    split: str = "test",
    *,
    device: str | torch.device | None = None,
    mixed_precision: str = "no",
    batch_size: int = 512,
) -> Metrics:
    """Loss and accuracy of a network on the training or the test part of a dataset, without augmentation.

    The network is moved to the device and keeps its mode. Raises ArchgradError if it does not fit the data.
    """
    world = World.start(device, mixed_precision)
    dataset = load_shared(data, world)
    require_fitting(network, dataset)
    return evaluate_subset(network.to(world.device), dataset.subset(split), world, batch_size)


def load_weights(network: nn.Module, path: Path | str) -> nn.Module:
    """Give a network the weights of a safetensors file, or of a training run's directory.

    Raises ArchgradError if the file is missing or damaged, or was written for another network (naming a difference).
    """
    path = Path(path)
    if path.is_dir():
        path = path / WEIGHTS
    try:
        state = safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise ArchgradError(f"{path}: no such file of weights") from None
    except (OSError, SafetensorError) as error:
        raise ArchgradError(f"{path}: not a readable safetensors file ({' '.join(str(error).split())})") from None
    load_state(network, state, str(path))
    return network


@torch.no_grad()
def evaluate_subset(network: nn.Module, subset: Subset, world: World, batch_size: int = 512) -> Metrics:
    """Loss and accuracy on a subset, computed by all processes together; the network keeps its mode."""
    training = network.training
    network.eval()
    batches = Batches(subset, -(-batch_size // world.size), device=world.device, rank=world.rank, world=world.size)
    sums = torch.zeros(3, device=world.device, dtype=torch.float32 if world.device.type == "mps" else torch.float64)
    for x, y in batches.epoch():
        with world.autocast():
            logits = widened(network(x))
        loss = F.cross_entropy(logits, y, reduction="sum")
        hits = logits.topk(min(5, logits.shape[1]), dim=1).indices == y[:, None]
        sums += torch.stack([loss, hits[:, 0].sum(), hits.sum()])
    network.train(training)
    world.sum([sums])
    loss_sum, first, among_five = sums.tolist()
    count = len(subset)
    return Metrics(loss_sum / count, first / count, among_five / count, count)


def widened(logits: Tensor) -> Tensor:
    """Half-precision numbers in single precision, for sums and logarithms; others as they are."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


def load_shared(data: str | Path | Dataset, world: World, image_size: int | None = None) -> Dataset:
    """Load a dataset on every process; a download is for one process, while the others wait."""
    if isinstance(data, Dataset):
        return data
    if world.size > 1:
        world.from_main(lambda: datasets.load(data) and None)
    return datasets.load(data, image_size=image_size)


@torch.no_grad()
def require_fitting(network: nn.Module, dataset: Dataset) -> None:
    """Try two inputs, so that a network that cannot take them is one line here and not a traceback later."""
    x, _ = next(Batches(dataset.train.take(torch.arange(2) % len(dataset.train)), 2, workers=0).epoch())
    training = network.training
    network.eval()
    try:
        parameter = next(network.parameters(), torch.empty(0))
        output = network(x.to(parameter.device))
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ArchgradError(
            f"the network cannot take inputs of {dataset.name}, of shape {list(dataset.shape)}: {reason}"
        ) from None
    finally:
        network.train(training)
    if not isinstance(output, Tensor) or output.shape != (2, dataset.classes):
        shape = list(output.shape[1:]) if isinstance(output, Tensor) else type(output).__name__
        raise ArchgradError(
            f"{dataset.name} has {dataset.classes} classes, but the network's output is {shape} per input"
        )


def load_state(network: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Copy a state into a network, or say in one line in what they differ."""
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
    network.load_state_dict(dict(state))
