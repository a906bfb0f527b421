"""Scores of genotypes: one batch, one way to draw weights, some proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from archgrad import data as datasets
from archgrad import spaces
from archgrad.data import Batches, Dataset
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype
from archgrad.operations.cost import Cost
from archgrad.proxies import library
from archgrad.proxies.proxy import Batch, Measurement, Proxy
from archgrad.proxies.shared import measure
from archgrad.randomness import derive, isolated
from archgrad.spaces import Space
from archgrad.supernet import Supernet


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores genotypes of a space by their freshly initialised networks, or by their paths in a supernet.

    All genotypes see the same batch, and their weights are drawn from the same seed: a score follows from the genotype
    and the settings alone. ``size``: what the space's network takes (``channels``, ``cells``, ``classes``, …).
    """

    space: Space
    proxies: Mapping[str, Proxy]
    batch: Batch
    size: Mapping[str, int]
    seed: int = 0
    supernet: Supernet | None = None

    @classmethod
    def of(
        cls,
        space: str | Space,
        proxies: str | Iterable[str] | Mapping[str, Proxy],
        data: str | Path | Dataset = "digits",
        *,
        channels: int | None = None,
        cells: int | None = None,
        image_size: int | None = None,
        batch_size: int = 8,
        seed: int = 0,
        supernet: Supernet | None = None,
    ) -> Scorer:
        """With one training batch of a dataset, augmented and normalised, and networks of the published size."""
        space = spaces.get(space) if isinstance(space, str) else space
        dataset = datasets.load(data, image_size=image_size)
        if isinstance(proxies, Mapping):
            chosen = dict(proxies)
        else:
            chosen = {name: library.get(name) for name in library.parse(proxies)}
        if not dataset.image_size:
            raise ArchgradError(f"{dataset.name}: the networks of {space.name} read images")
        batches = Batches(
            dataset.train, batch_size, seed=derive(seed, "batch"), augment=dataset.augmentation, shuffle=True
        )
        images, labels = next(batches.epoch())
        given = {key: value for key, value in {"channels": channels, "cells": cells}.items() if value is not None}
        size = {**space.network_size, **given, "classes": dataset.classes, "in_channels": dataset.channels}
        named = {name: normalised_as(proxy, dataset) for name, proxy in chosen.items()}
        return cls(space, named, (images.contiguous(), labels), size, seed, supernet)

    def __call__(self, genotype: Genotype) -> dict[str, float]:
        """One score per proxy."""
        return {name: found.value for name, found in self.measure(genotype).items()}

    def measure(self, genotype: Genotype) -> dict[str, Measurement]:
        """The scores with the contributions of the layers."""
        if self.supernet is not None:
            return measure(self.proxies, self.supernet, self.batch, self.space.check(genotype))
        return measure(self.proxies, self.network(genotype), self.batch)

    def network(self, genotype: Genotype) -> nn.Module:
        """The freshly initialised network."""
        with isolated(self.seed, "weights"):
            return self.space.network(genotype, **self.size)

    def cost(self, genotype: Genotype) -> Cost:
        """Parameters and multiply-accumulates of the network, by formula."""
        return self.space.cost(genotype, **self.size, image_size=self.batch[0].shape[-1], unreached=False)


def normalised_as(proxy: Proxy, dataset: Dataset) -> Proxy:
    """The proxy, told how the images were normalised if it asks for that (``mean``, ``std``) and was not told yet."""
    asks: Any = proxy
    if not {"mean", "std"} <= set(getattr(asks, "__dataclass_fields__", {})) or asks.std:
        return proxy
    told: Proxy = replace(asks, mean=dataset.mean, std=dataset.std)
    return told
