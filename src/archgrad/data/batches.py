"""Batches of a subset: which inputs and which random numbers follow from seed, epoch and step alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader

from archgrad.data.augmentation import Augmentation
from archgrad.data.dataset import Subset
from archgrad.data.items import Items
from archgrad.data.preparation import laid_out, scaled
from archgrad.data.workers import workers_told
from archgrad.devices import placed
from archgrad.errors import ArchgradError
from archgrad.nested import mapped
from archgrad.randomness import derive, generator

Batch = tuple[Any, Any]


class Batches:
    """Iterates over a subset in batches on the device: pixels as numbers in [0, 1], images stored channels last.

    `batch_size` is that of one process. Everything random is drawn for the batch of all processes together, of which
    process `rank` of `world` takes its slice: two processes with batch B see what one sees with batch 2B. With
    `drop_last` an incomplete last batch is left out; without, the processes share it as evenly as it goes, so that one
    of them may get an empty slice: all make the same number of steps.
    """

    def __init__(
        self,
        subset: Subset,
        batch_size: int,
        *,
        seed: int = 0,
        augment: Augmentation | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world: int = 1,
        workers: int | None = None,
    ) -> None:
        if batch_size < 1:
            raise ArchgradError(f"batch size must be at least 1, got {batch_size}")
        total = batch_size * world
        if drop_last and len(subset) < total:
            raise ArchgradError(f"batch size {total} is larger than the {len(subset)} inputs: choose a smaller one")
        self.device = torch.device(device)
        self.subset = subset.to(self.device)
        self.global_batch_size = total
        self.seed, self.augment, self.shuffle = seed, augment, shuffle
        self.rank, self.world = rank, world
        self.count = len(subset) // total * total if drop_last else len(subset)
        self.workers = min(8, (os.cpu_count() or 1) - 1) if workers is None else workers

    def __len__(self) -> int:
        """Steps of an epoch."""
        return -(-self.count // self.global_batch_size)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch from step `start` on, the same whether or not the earlier ones were drawn."""
        order = self._order(epoch)
        parts = [self._slice(step) for step in range(start, len(self))]
        batches = self._streamed if self.subset.streams else self._stored
        for step, (x, y) in enumerate(batches(epoch, order, parts), start=start):
            yield self._prepared(x, epoch, step), y

    def stream(self, position: int = 0) -> Iterator[Batch]:
        """An endless row of epochs from step number `position` on, counted over all epochs from 0."""
        epoch, start = divmod(position, len(self))
        while True:
            yield from self.epoch(epoch, start)
            epoch, start = epoch + 1, 0

    def _order(self, epoch: int) -> Int[Tensor, " n"]:
        if not self.shuffle:
            return torch.arange(self.count)
        return torch.randperm(len(self.subset), generator=generator(self.seed, "order", epoch))[: self.count]

    def _slice(self, step: int) -> slice:
        """The part that this process takes of the batch of all processes."""
        first = step * self.global_batch_size
        size = min(self.global_batch_size, self.count - first)
        return slice(first + size * self.rank // self.world, first + size * (self.rank + 1) // self.world)

    def _stored(self, epoch: int, order: Int[Tensor, " n"], parts: list[slice]) -> Iterator[Batch]:
        order = placed(order, self.device)
        for part in parts:
            chosen = self.subset.take(order[part])
            yield chosen.inputs, chosen.targets

    def _streamed(self, epoch: int, order: Int[Tensor, " n"], parts: list[slice]) -> Iterator[Batch]:
        inputs = self.subset.inputs
        items = inputs if isinstance(inputs, Items) else None
        source: Any = inputs if items is None else items.fetcher

        def seeded(place: int) -> tuple[int, int]:
            return place, derive(self.seed, "item", epoch, int(inputs.numbers[place]))

        batches: list[Any] = [order[part].tolist() for part in parts]
        loader: DataLoader[Any] = DataLoader(
            source,  # fetched by __getitems__, one call per batch
            batch_sampler=batches if items is None else [list(map(seeded, batch)) for batch in batches],
            num_workers=self.workers,
            collate_fn=source.stack,
            pin_memory=self.device.type == "cuda",
            # The workers' seed would otherwise come from torch's global generator, and change it.
            generator=torch.Generator().manual_seed(derive(self.seed, "workers", epoch)),
        )
        order = placed(order, self.device)
        with workers_told(self.workers):
            for part, batch in zip(parts, loader, strict=True):
                if items is None:  # pinned by the loader
                    yield batch.to(self.device, non_blocking=True), self.subset.targets[order[part]]
                else:
                    yield mapped(self._placed, items.batch(batch))

    def _placed(self, tensor: Tensor) -> Tensor:
        return placed(tensor, self.device)

    def _prepared(self, x: Any, epoch: int, step: int) -> Any:
        if not isinstance(x, Tensor):
            return mapped(scaled, x)
        draws = None
        if self.augment is not None:
            first = step * self.global_batch_size
            size = min(self.global_batch_size, self.count - first)
            part = self._slice(step)
            randomness = generator(self.seed, "augment", epoch, step)
            drawn = self.augment.draw(size, x.shape[-2], x.shape[-1], randomness)
            draws = drawn.part(part.start - first, part.stop - first, x.device)
            x = self.augment.crop(x, draws)
        x = scaled(x)
        if self.subset.normalisation is not None:
            x = self.subset.normalisation(x)
        if self.augment is not None and draws is not None:
            x = self.augment.cut(x, draws)
        return laid_out(x)
