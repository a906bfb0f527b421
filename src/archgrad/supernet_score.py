"""How good the supernet of a search is when only some of its candidates are left."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from archgrad.bilevel import Bilevel
from archgrad.context import Clock
from archgrad.data import Batches
from archgrad.engine.statistics import unmoved
from archgrad.evaluation import Accumulator
from archgrad.genotype import Genotype
from archgrad.mixture import Mixture
from archgrad.randomness import seed_torch
from archgrad.roles import Score


class SupernetScore(Score):
    """The primary metric on validation batches, with the supernet's weights and the statistics of the batch.

    Running statistics belong to the mixture of all trained paths and say little about one of them. Where lower is
    better the metric counts with a minus. ``clock``: the time at which the search ended; epochs of tuning follow it.
    ``validation``: the batches of alpha steps, of which the first ``steps`` tell about a genotype; ``whole``: those of
    the whole validation part, which tell about masks.
    """

    def __init__(
        self,
        bilevel: Bilevel,
        weight_batches: Batches,
        validation: Batches,
        whole: Batches,
        clock: Clock,
        steps: int = 8,
    ):
        self.bilevel, self.weight_batches, self.validation, self.whole = bilevel, weight_batches, validation, whole
        self.clock, self.steps = clock, steps
        self.tuned = 0

    def __call__(self, genotype: Genotype) -> float:
        return self._of(self.bilevel.supernet.one_hot(genotype), self.validation, self.steps)

    def masked(self, masks: Mapping[str, Tensor], shown: Mapping[str, Tensor] | None = None) -> float:
        """At the present alphas."""
        with torch.no_grad():
            mixture = self.bilevel.mixture(self.clock, masks).restricted(shown or {})
            return self._of(mixture, self.whole, len(self.whole))

    def tune(self, masks: Mapping[str, Tensor], epochs: int) -> None:
        """With a fresh optimiser and a tenth of the search's first learning rate; alphas are trained as well."""
        bilevel, method = self.bilevel, self.bilevel.method
        if not self.tuned:
            bilevel.renew_weight_optimiser(method.weight_optimiser.lr / 10)
        first = self.clock.epoch + self.tuned
        for epoch in range(first, first + epochs):
            bilevel.supernet.train()
            others = self.validation.stream(epoch * len(self.weight_batches))
            for number, batch in enumerate(self.weight_batches.epoch(epoch)):
                clock = replace(self.clock, epoch=epoch, step=number)
                train = bilevel.objective("train", batch, clock, masks)
                validation = bilevel.objective("validation", next(others), clock, masks, inner=train)
                if method.order == "weights-first":
                    bilevel.weight_step(train)
                bilevel.alpha_step(validation)
                if method.order == "alphas-first":
                    bilevel.weight_step(train)
        self.tuned += epochs

    @torch.no_grad()
    def _of(self, mixture: Mixture, batches: Batches, steps: int) -> float:
        bilevel, task = self.bilevel, self.bilevel.dataset.task
        supernet, world = bilevel.supernet, bilevel.world
        supernet.train()
        seed_torch(bilevel.seed, "score")  # dropout: the same every time, and after any resume
        accumulator = Accumulator(task, world)
        with unmoved(supernet), world.autocast():
            for (x, y), _ in zip(batches.epoch(), range(steps), strict=False):
                accumulator.add(supernet(x, mixture), y)
        merit = accumulator.evaluation().merit
        return -math.inf if math.isnan(merit) else merit  # nothing is worse than outputs that are no numbers
