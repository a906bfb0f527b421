"""What a proxy is: a score of an untrained network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from archgrad.data.augmentation import Normalisation
from archgrad.data.batches import Batch
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.proxies.specimen import Specimen
from archgrad.tasks import Classification, Task


@dataclass(frozen=True)
class Measurement:
    """A score and what every layer contributes to it (by its name in the network, in order of definition)."""

    value: float
    layers: Mapping[str, float] = field(default_factory=dict)


Found = float | Mapping[str, Tensor | float] | Measurement
"""A score, the contributions of the layers that add up to it, or both where they do not."""


class Proxy(ABC):
    """A score of an untrained network, higher is better.

    ``proxy(network, (images, labels))`` is the score. The network may be any module that returns logits, or a
    `Supernet` together with the ``genotype`` of one path, which is then scored with the supernet's weights.
    ``normalisation``: how the images were normalised, for proxies that must know which pixels are valid. ``task``: what
    the labels are the targets of, whose loss counts; classification unless given.

    A proxy of your own is a formula of a `Specimen`. All work is done on a copy in training mode, with random numbers
    of its own: network, buffers, gradients and torch's random state stay as they are. The copy computes in ``dtype``,
    by default in that of the network, but at least in single precision; its cells are computed by ``executor``, by
    default by the one that they choose.

    >>> import torch
    >>> from torch import nn
    >>> class LargestGradient(Proxy):
    ...     def examine(self, specimen):
    ...         return {layer: gradient.abs().max() for layer, (weight, gradient) in specimen.gradients.items()}
    >>> network = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(network.weight)
    >>> batch = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    >>> round(LargestGradient()(network, batch), 4)  # 1 / (1 + e)
    0.2689
    """

    dtype: ClassVar[torch.dtype | None] = None
    executor: ClassVar[str | None] = None

    @abstractmethod
    def examine(self, specimen: Specimen) -> Found:
        """The score: a number, or scalars by layer, which are added up."""

    def __call__(
        self,
        network: nn.Module,
        batch: Batch,
        genotype: Genotype | None = None,
        normalisation: Normalisation | None = None,
        task: Task | None = None,
    ) -> float:
        return self.measure(network, batch, genotype, normalisation, task).value

    def layers(
        self,
        network: nn.Module,
        batch: Batch,
        genotype: Genotype | None = None,
        normalisation: Normalisation | None = None,
        task: Task | None = None,
    ) -> dict[str, float]:
        """What every layer contributes; what belongs to no layer has the name ""."""
        return dict(self.measure(network, batch, genotype, normalisation, task).layers)

    def measure(
        self,
        network: nn.Module,
        batch: Batch,
        genotype: Genotype | None = None,
        normalisation: Normalisation | None = None,
        task: Task | None = None,
    ) -> Measurement:
        """The score with the contributions of the layers."""
        return measure({"": self}, network, batch, genotype, normalisation, task)[""]


def measure(
    proxies: Mapping[str, Proxy],
    network: nn.Module,
    batch: Batch,
    genotype: Genotype | None = None,
    normalisation: Normalisation | None = None,
    task: Task | None = None,
) -> dict[str, Measurement]:
    """Every proxy's measurement; proxies that need the same pass share it, with the results that each gives alone."""
    specimen = Specimen(network, batch, genotype, normalisation, task or Classification())
    found = {}
    for name, proxy in proxies.items():
        try:
            seen = replace(specimen, dtype=proxy.dtype, executor=proxy.executor)
            found[name] = _measurement(seen.examined(proxy.examine))
        except ArchgradError as error:
            text = str(error)
            raise ArchgradError(
                f"{name}: {text.removeprefix('proxy: ')}" if name and name not in text else text
            ) from None
    return found


def _measurement(found: Found) -> Measurement:
    if isinstance(found, Measurement):
        return found
    if not isinstance(found, Mapping):
        return Measurement(float(found), {"": float(found)})
    # Scalars are fetched from their device together.
    values = [torch.as_tensor(value, dtype=torch.float64) for value in found.values()]
    layers = dict(zip(found, torch.stack(values).detach().tolist() if values else [], strict=True))
    return Measurement(sum(layers.values()), layers)
