"""What a proxy is: a score of an untrained network, computed on a private copy of it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from archgrad.engine import forced
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.randomness import isolated
from archgrad.supernet import Supernet

Batch = tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]
"""Images as the network is given them (normalised), and their labels."""


@dataclass(frozen=True)
class Measurement:
    """A score and what every layer contributes to it (by its name in the network, in order of definition)."""

    value: float
    layers: Mapping[str, float] = field(default_factory=dict)


class Proxy(ABC):
    """A score of an untrained network, higher is better.

    ``proxy(network, (images, labels))`` is the score. The network may be any module that returns logits, or a
    `Supernet` together with the ``genotype`` of one path, which is then scored with the supernet's weights. All work is
    done on a copy in training mode, with random numbers of its own: network, buffers, gradients and torch's random
    state stay as they are. The copy computes in ``dtype``, by default in that of the network, but at least in single
    precision.
    """

    dtype: ClassVar[torch.dtype | None] = None
    executor: ClassVar[str | None] = None
    """How cells are computed while this proxy measures; None leaves it to them."""

    def __call__(self, network: nn.Module, batch: Batch, genotype: Genotype | None = None) -> float:
        return self.measure(network, batch, genotype).value

    def layers(self, network: nn.Module, batch: Batch, genotype: Genotype | None = None) -> dict[str, float]:
        """What every layer contributes."""
        return dict(self.measure(network, batch, genotype).layers)

    def measure(self, network: nn.Module, batch: Batch, genotype: Genotype | None = None) -> Measurement:
        """The score with the contributions of the layers."""
        with measuring(network, batch, genotype, self.dtype, self.executor) as given:
            return self.evaluate(*given)

    @abstractmethod
    def evaluate(
        self, network: nn.Module, images: Float[Tensor, "batch ..."], labels: Int[Tensor, " batch"]
    ) -> Measurement:
        """The measurement of a network that may be changed at will."""


@contextmanager
def measuring(
    network: nn.Module,
    batch: Batch,
    genotype: Genotype | None = None,
    dtype: torch.dtype | None = None,
    executor: str | None = None,
) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
    """A private copy of the network, with images and labels beside it, and randomness that ends with the block."""
    computed = forced(executor) if executor else nullcontext()
    with torch.inference_mode(False), torch.enable_grad(), computed, isolated(0, "proxy"):
        twin = private_copy(network, genotype, dtype)
        yield (twin, *_placed(batch, twin))


def private_copy(network: nn.Module, genotype: Genotype | None = None, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy in training mode whose parameters all take gradients; that of a supernet is one of its paths."""
    if isinstance(network, Supernet):
        if genotype is None:
            raise ArchgradError("proxy: a supernet holds many networks; give the genotype of the path to score")
        twin = network.settle(genotype, inherit=True)
    elif genotype is not None:
        raise ArchgradError(f"proxy: a genotype names a path of a supernet, but {type(network).__name__} is settled")
    else:
        twin = copy.deepcopy(network)
    dtypes = {p.dtype for p in twin.parameters() if p.is_floating_point()}
    if dtype is None and dtypes & {torch.float16, torch.bfloat16}:
        dtype = torch.float32
    if dtype is not None:
        twin = twin.to(dtype)
    twin.zero_grad()
    return twin.requires_grad_(True).train()


def _placed(batch: Any, network: nn.Module) -> Batch:
    """The batch where the network is and in its precision."""
    if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(t, Tensor) for t in batch)):
        raise ArchgradError("proxy: the batch must be a pair of tensors (images, labels)")
    images, labels = batch
    if labels.ndim != 1 or len(images) != len(labels) or labels.is_floating_point():
        raise ArchgradError(
            f"proxy: one class number per image is needed, got images {list(images.shape)} and "
            f"labels {list(labels.shape)} of {labels.dtype}"
        )
    weight = next(network.parameters(), images)
    images = images.detach()
    if images.is_floating_point():
        images = images.to(weight.device, weight.dtype)
    return images.to(weight.device), labels.to(weight.device)
