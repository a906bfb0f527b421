"""What a proxy examines: an untrained network and one batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

from archgrad.data.augmentation import Normalisation
from archgrad.data.batches import Batch
from archgrad.derivatives import derivatives
from archgrad.engine import forced
from archgrad.errors import ArchgradError, reason
from archgrad.genotype import Genotype
from archgrad.proxies.layers import Layer, copied, merge_parametrisations, weighted
from archgrad.randomness import isolated
from archgrad.supernet import Supernet
from archgrad.tasks import Classification, Task, widened

P = ParamSpec("P")
T = TypeVar("T")


class Jacobians(NamedTuple):
    """For every image the gradient of the sum of all logits by that image, and the number of logits."""

    rows: Float[Tensor, "batch inputs"]
    classes: int


@dataclass(eq=False)
class Specimen:
    """A network and a batch, as a formula examines them.

    ``original`` may be any module that returns logits, or a `Supernet` together with the ``genotype`` of one path.
    ``batch``: images as the network reads them, and the targets of the ``task``. ``normalisation``: how the images were
    normalised, None where that is unknown. ``dtype`` and ``executor``: see `Proxy`. ``passes``: what has been computed
    for all specimens of this network.
    """

    original: nn.Module
    batch: Batch
    genotype: Genotype | None = None
    normalisation: Normalisation | None = None
    task: Task = field(default_factory=Classification)
    dtype: torch.dtype | None = None
    executor: str | None = None
    passes: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        batch: Any = self.batch
        if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(t, Tensor) for t in batch)):
            raise ArchgradError("proxy: the batch must be a pair of tensors (images, labels)")
        if any(is_lazy(parameter) for parameter in self.original.parameters()):
            raise ArchgradError("proxy: the network has weights without a shape yet: call it once before")

    @cached_property
    def network(self) -> nn.Module:
        """A private copy in training mode, whose parameters all take gradients; a formula may change it at will.

        Weights that the original computes from others, as weight_norm does, are plain ones in it.
        """
        return private_copy(self.original, self.genotype, self.dtype)

    @cached_property
    def images(self) -> Float[Tensor, "batch ..."]:
        """The images, where the network is and in its precision."""
        images: Tensor = self.batch[0].detach()
        weight = next(self.network.parameters(), images)
        return images.to(weight.device, weight.dtype if images.is_floating_point() else images.dtype)

    @property
    def pixels(self) -> Float[Tensor, "batch ..."]:
        """The images, which must be real numbers: what moves them, or asks for gradients by them, refuses tokens."""
        if not self.images.is_floating_point():
            raise ArchgradError(f"proxy: it needs inputs of real numbers, got {self.images.dtype}")
        return self.images

    @cached_property
    def targets(self) -> Tensor:
        """The targets, where the network is; those of a classification are a class number for each image."""
        images, targets = cast(tuple[Tensor, Tensor], self.batch)
        if len(images) != len(targets) or (
            isinstance(self.task, Classification) and (targets.ndim != 1 or targets.is_floating_point())
        ):
            raise ArchgradError(
                f"proxy: one class number per image is needed, got images {list(images.shape)} and "
                f"labels {list(targets.shape)} of {targets.dtype}"
            )
        return targets.to(next(self.original.parameters(), targets).device)

    @property
    def labels(self) -> Int[Tensor, " batch"]:
        """The class numbers; tasks that have none are refused."""
        if not isinstance(self.task, Classification):
            raise ArchgradError(f"proxy: it needs the class of every image, which {self.task} does not have")
        return self.targets

    @property
    def layers(self) -> dict[str, Layer]:
        """The convolutions and linear layers of the copy, by name; a network without any is refused."""
        found = weighted(self.network)
        if not found:
            raise ArchgradError("proxy: it looks at convolutions and linear layers, of which the network has none")
        return found

    @property
    def weights(self) -> dict[str, Tensor]:
        """The weights of the layers by their names; one that several share is that of the first, and counts once."""
        first = {id(layer.weight): name for name, layer in reversed(self.layers.items())}
        return {name: layer.weight for name, layer in self.layers.items() if first[id(layer.weight)] == name}

    def logits(self, images: Float[Tensor, "batch ..."] | None = None) -> Float[Tensor, "batch classes"]:
        """What the copy returns; of several outputs the first, since the others are auxiliary heads."""
        given = self.images if images is None else images
        try:
            output = self.network(given)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise ArchgradError(
                f"proxy: the network cannot take inputs of shape {list(given.shape)}: {reason(error)}"
            ) from None
        found: Tensor = output[0] if isinstance(output, tuple | list) and output else output
        if not isinstance(found, Tensor):
            raise ArchgradError(f"proxy: the network must return a tensor, got {type(found).__name__}")
        if torch.is_grad_enabled() and not found.requires_grad and next(self.network.parameters(), None) is not None:
            raise ArchgradError(
                "proxy: the network's outputs have no gradients by its weights: it turns them off itself"
            )
        return widened(found)

    def loss(self, images: Float[Tensor, "batch ..."] | None = None) -> Float[Tensor, ""]:
        """The task's loss of the copy, a mean over the batch; all proxies take their loss here."""
        output, targets = self.logits(images), self.targets
        if isinstance(self.task, Classification) and targets.numel():
            classes = output.shape[1]
            if not 0 <= int(targets.min()) <= int(targets.max()) < classes:
                raise ArchgradError(f"proxy: labels must lie in 0 … {classes - 1}, the network's outputs")
        return self.task.mean_loss(output, targets)

    def derivatives(
        self, value: Float[Tensor, ""], create_graph: bool = False
    ) -> dict[str, tuple[Float[Tensor, ...], Float[Tensor, ...]]]:
        """For every layer its weight, detached, and the derivative of a scalar by it."""
        weights = self.weights
        found = derivatives(value, list(weights.values()), create_graph=create_graph)
        return {name: (weight.detach(), d) for (name, weight), d in zip(weights.items(), found, strict=True)}

    @property
    def gradients(self) -> dict[str, tuple[Float[Tensor, ...], Float[Tensor, ...]]]:
        """For every layer its weight and the gradient of the loss by it, of a pass that proxies share."""
        return self.once(_gradients)

    @property
    def jacobians(self) -> Jacobians:
        """The images' Jacobians in double precision, of a pass that proxies share."""
        return self.once(_jacobians)

    def examined(self, examine: Callable[Concatenate[Specimen, P], T], *settings: P.args, **named: P.kwargs) -> T:
        """What ``examine`` finds in a fresh copy, with gradients on and random numbers of its own."""
        computed = forced(self.executor) if self.executor else nullcontext()
        twice = sdpa_kernel(SDPBackend.MATH)  # attention of which there are second derivatives
        with torch.inference_mode(False), torch.enable_grad(), computed, twice, isolated(0, "proxy"):
            return examine(replace(self), *settings, **named)

    def once(self, examine: Callable[Concatenate[Specimen, P], T], *settings: P.args, **named: P.kwargs) -> T:
        """The same, computed once for all proxies that are measured together and ask for it."""
        key = (examine, settings, tuple(named.items()), self.dtype, self.executor)
        if key not in self.passes:
            self.passes[key] = self.examined(examine, *settings, **named)
        found: T = self.passes[key]
        return found


def private_copy(network: nn.Module, genotype: Genotype | None = None, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy in training mode whose parameters all take gradients; that of a supernet is one of its paths."""
    if isinstance(network, Supernet):
        if genotype is None:
            raise ArchgradError("proxy: a supernet holds many networks; give the genotype of the path to score")
        twin = network.settle(genotype, inherit=True)
    elif genotype is not None:
        raise ArchgradError(f"proxy: a genotype names a path of a supernet, but {type(network).__name__} is settled")
    else:
        twin = copied(network)
    merge_parametrisations(twin)
    dtypes = {p.dtype for p in twin.parameters() if p.is_floating_point()}
    if dtype is None and dtypes & {torch.float16, torch.bfloat16}:
        dtype = torch.float32
    if dtype is not None:
        twin = twin.to(dtype)
    twin.zero_grad()
    return twin.requires_grad_(True).train()


def _gradients(specimen: Specimen) -> dict[str, tuple[Tensor, Tensor]]:
    return specimen.derivatives(specimen.loss())


def _jacobians(specimen: Specimen) -> Jacobians:
    images = specimen.pixels.requires_grad_(True)
    output = specimen.logits(images)
    (found,) = derivatives(output.sum(), [images])
    return Jacobians(found.detach().flatten(1).double(), output.shape[1])
