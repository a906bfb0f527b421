"""Scores of genotypes: one batch, one way to draw weights, some proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from archgrad import data as datasets
from archgrad import spaces
from archgrad.data import Batches, Dataset, Normalisation
from archgrad.data.batches import Batch
from archgrad.genotype import Genotype
from archgrad.identity import digest
from archgrad.nested import leaves
from archgrad.operations.cost import Complexity
from archgrad.proxies import library
from archgrad.proxies.proxy import Measurement, Proxy, measure
from archgrad.randomness import derive, isolated
from archgrad.spaces import Space
from archgrad.supernet import Supernet
from archgrad.tasks import Task


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores genotypes of a space by their freshly initialised networks, or by their paths in a supernet.

    All genotypes see the same batch, and their weights are drawn from the same seed: a score follows from the genotype
    and the settings alone. ``normalisation``: how the images of the batch were normalised. ``task``: that of the
    dataset, classification unless given.
    ``unreached``: fresh networks have operations that do not carry anything to the output, too, as those of published
    tables have. They change the scores that count what is there: the norm of the weights, NWOT, parameters and FLOPs.
    """

    space: Space
    proxies: Mapping[str, Proxy]
    batch: Batch
    classes: int
    seed: int = 0
    supernet: Supernet | None = None
    normalisation: Normalisation | None = None
    task: Task | None = None
    unreached: bool = False

    @classmethod
    def of(
        cls,
        space: str | Space,
        proxies: str | Iterable[str] | Mapping[str, Proxy],
        data: str | Path | Dataset = "digits",
        *,
        image_size: int | None = None,
        batch_size: int = 8,
        seed: int = 0,
        supernet: Supernet | None = None,
        unreached: bool = False,
        unreadable: str = "refuse",
    ) -> Scorer:
        """With one training batch of a dataset, augmented and normalised, and networks of the size of the space."""
        space = spaces.get(space) if isinstance(space, str) else space
        dataset = datasets.load(data, image_size=image_size, unreadable=unreadable)
        if isinstance(proxies, Mapping):
            chosen = dict(proxies)
        else:
            chosen = {name: library.get(name) for name in library.parse(proxies)}
        classes = space.fitting(dataset)["classes"]
        batches = Batches(
            dataset.train, batch_size, seed=derive(seed, "batch"), augment=dataset.augmentation, shuffle=True
        )
        images, labels = next(batches.epoch())
        batch = images.contiguous(), labels
        normalisation, task = dataset.train.normalisation, dataset.task
        return cls(space, chosen, batch, classes, seed, supernet, normalisation, task, unreached)

    def identity(self) -> dict[str, Any]:
        """What identifies the batch and the supernet, on which scores depend."""
        supernet = self.supernet
        weights = {} if supernet is None else {"weights": digest(supernet.state_dict().values()), **supernet.record()}
        return {"batch": digest(leaves(self.batch)), "supernet": weights}

    def __call__(self, genotype: Genotype) -> dict[str, float]:
        """One score per proxy."""
        return {name: found.value for name, found in self.measure(genotype).items()}

    def measure(self, genotype: Genotype) -> dict[str, Measurement]:
        """The scores with the contributions of the layers."""
        if self.supernet is None:
            network, path = self.network(genotype), None
        else:
            network, path = self.supernet, self.space.check(genotype)
        return measure(self.proxies, network, self.batch, path, self.normalisation, self.task)

    def network(self, genotype: Genotype) -> nn.Module:
        """The freshly initialised network."""
        with isolated(self.seed, "weights"):
            return self.space.network(
                genotype, classes=self.classes, in_channels=self.in_channels, unreached=self.unreached
            )

    def cost(self, genotype: Genotype) -> Complexity:
        """Parameters and multiply-accumulates of the network, by formula."""
        height, width = self.batch[0].shape[-2:]
        return self.space.cost(
            genotype,
            classes=self.classes,
            in_channels=self.in_channels,
            image_size=(height, width),
            unreached=False,
        )

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return int(self.batch[0].shape[1])
