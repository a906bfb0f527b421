"""How good the supernet of a search is when only some of its candidates are left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from archgrad.data import Batches
from archgrad.engine.checkpoint import as_now
from archgrad.genotype import Genotype
from archgrad.mixture import Mixture
from archgrad.randomness import derive
from archgrad.roles import Score

if TYPE_CHECKING:
    from archgrad.search import Search


class SupernetAccuracy(Score):
    """Accuracy on the alpha batches of a search, with the supernet's weights and the statistics of the batch.

    Running statistics belong to the mixture of all trained paths and say little about one of them.
    """

    def __init__(self, loop: Search, steps: int = 8):
        self.loop, self.steps, self.tuned = loop, steps, 0

    @property
    def batches(self) -> Batches:
        """What it looks at."""
        return self.loop.alpha_batches

    def __call__(self, genotype: Genotype) -> float:
        return self._of(self.loop.supernet.one_hot(genotype))

    def masked(self, masks: Mapping[str, Tensor]) -> float:
        """At the alphas of now."""
        with self._only(masks), torch.no_grad():
            return self._of(self.loop.mixture())

    def tune(self, masks: Mapping[str, Tensor], epochs: int) -> None:
        """With the last learning rate of the search; weights only."""
        loop, ended = self.loop, self.loop.epoch
        with self._only(masks):
            for loop.epoch in range(ended + self.tuned, ended + self.tuned + epochs):
                loop.supernet.train()
                for number, batch in enumerate(loop.weight_batches.epoch(loop.epoch)):
                    loop.step = number
                    loop.weight_step(loop.objective("train", batch))
        loop.epoch, loop.step, self.tuned = ended, 0, self.tuned + epochs

    @contextmanager
    def _only(self, masks: Mapping[str, Tensor]) -> Iterator[None]:
        state = self.loop.state
        before, state.masks = state.masks, dict(masks)
        try:
            yield
        finally:
            state.masks = before

    @torch.no_grad()
    def _of(self, mixture: Mixture) -> float:
        loop, supernet = self.loop, self.loop.supernet
        supernet.train()
        torch.manual_seed(derive(loop.seed, "score"))  # dropout: the same every time, and after any resume
        sums = torch.zeros(2, device=loop.world.device)
        with as_now(supernet), loop.world.autocast():
            for (x, y), _ in zip(loop.alpha_batches.epoch(), range(self.steps), strict=False):
                hits = (supernet(x, mixture).argmax(1) == y).sum()
                sums += torch.stack([hits, torch.full_like(hits, len(y))])
        loop.world.sum([sums])
        right, count = sums.tolist()
        return float(right / max(1, count))
