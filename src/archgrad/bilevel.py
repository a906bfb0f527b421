"""The two steps of a search, on alphas and on weights, at a given time and with given candidates."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from archgrad.context import Clock, Context
from archgrad.data import Dataset
from archgrad.distributed import World, synchronise_batch_norm
from archgrad.errors import ArchgradError
from archgrad.evaluation import require_fitting
from archgrad.foreign import layout
from archgrad.graphs import Graphs
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.objective import Descent, Objective
from archgrad.optim import clip, restore
from archgrad.randomness import derive, seed_torch
from archgrad.supernet import SPREAD, Mixed, Supernet

MakeSupernet = Callable[[Mapping[str, int], int], Supernet]
"""(sizes that a schedule asks for, epoch) → a new supernet."""


class Bilevel:
    """A supernet with its two optimisers, and how a method moves them.

    ``memory``: what every component remembers, by its role. Random numbers follow from ``seed`` and the clock.
    ``graphs``: launch passes as CUDA graphs.
    ``alpha_steps``: how often the alphas that there are have been moved. The method's learning rates are numbers.
    """

    def __init__(
        self, make: MakeSupernet, method: Method, dataset: Dataset, world: World, seed: int, graphs: bool = False
    ):
        self.make, self.method, self.dataset, self.world, self.seed = make, method, dataset, world, seed
        self.graphs = Graphs(world) if graphs else None
        self.memory: dict[str, Any] = {}
        self.alpha_steps = 0
        self.build({}, 0)

    def build(self, size: Mapping[str, int], epoch: int) -> None:
        """The supernet of that size as the modifiers want it, and its optimisers."""
        supernet = self.make(size, epoch)
        require_fitting(Mixed(supernet, supernet.uniform()), self.dataset)
        with torch.random.fork_rng():  # modules that modifiers make follow from the seed, after a resume as well
            seed_torch(self.seed, "modifiers", epoch)
            for modifier in sorted(self.method.modifiers, key=lambda m: not m.rebuilds):
                modifier.prepare(supernet, size)
        if not supernet.weights():
            raise ArchgradError("search: the network has no weights to train, so its candidates cannot be told apart")
        synchronise_batch_norm(supernet.network, self.world)
        if self.graphs:
            self.graphs.require_recordable(supernet)
        self.supernet, self.size = _placed(supernet, self.world.device), dict(size)
        self.supernet.fix_weights()
        weights, alphas = self.method.weight_optimiser, self.method.alpha_optimiser
        if alphas.start != SPREAD:
            with torch.no_grad():
                for group in self.supernet.groups:
                    self.supernet.alphas[group].mul_(alphas.start / SPREAD)
        self.renew_weight_optimiser(weights.lr)
        assert not isinstance(alphas.lr, str)  # the search has replaced "auto"
        self.alpha_optimiser = torch.optim.Adam(
            self.supernet.alphas.values(), lr=alphas.lr, betas=alphas.betas, weight_decay=alphas.weight_decay
        )

    def renew_weight_optimiser(self, lr: float) -> None:
        """An optimiser of the weights that remembers nothing."""
        weights = self.method.weight_optimiser
        self.weight_optimiser = torch.optim.SGD(
            self.supernet.weights(),
            lr=lr,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
            nesterov=weights.nesterov,
            foreach=True,
        )

    def set_alpha_lr(self) -> None:
        """Give the optimiser of alphas the method's learning rate, which may have been another one before."""
        for group in self.alpha_optimiser.param_groups:
            group["lr"] = self.method.alpha_optimiser.lr

    @property
    def alphas(self) -> dict[str, Tensor]:
        """The architecture parameters as they are."""
        return dict(self.supernet.alphas.items())

    def context(self, role: str, clock: Clock, masks: Mapping[str, Tensor], purpose: str = "") -> Context:
        """What the component of a role may look at."""
        memory = self.memory.setdefault(role, {})
        return Context(self.supernet, clock, masks, memory, derive(self.seed, purpose))

    def mixture(self, clock: Clock, masks: Mapping[str, Tensor]) -> Mixture:
        """The mixture at the present alphas, for evaluations."""
        return self.method.mix(self.alphas, self.context("relaxation", clock, masks, "evaluation"))

    def objective(
        self,
        purpose: str,
        batch: tuple[Any, Any],
        clock: Clock,
        masks: Mapping[str, Tensor],
        inner: Objective | None = None,
    ) -> Objective:
        """The loss of a batch at the weights and randomness of a step; ``inner``: that of the weights' batch."""
        return self.method.objective(
            batch,
            self.context("relaxation", clock, masks, purpose),
            task=self.dataset.task,
            autocast=self.world.autocast,
            averaged=self._averaged,
            purpose=f"{purpose} {self.world.rank}",
            inner=inner,
            descent=self._descent() if inner else None,
            normalisation=self.dataset.train.normalisation,
            graphs=self.graphs,
        )

    def alpha_step(self, objective: Objective) -> bool:
        """Move the alphas once; False where the method leaves them alone."""
        context = self.context("architecture_gradient", objective.context.clock, objective.context.masks, "validation")
        gradient = self.method.architecture_gradient(objective, self.alphas, context)
        if gradient is None:
            return False
        if self.method.alpha_optimiser.clip is not None:
            clip(list(gradient.values()), self.method.alpha_optimiser.clip)
        for group, alpha in self.supernet.alphas.items():
            alpha.grad = gradient[group]
        self.alpha_optimiser.step()
        self.alpha_steps += 1
        return True

    def weight_step(self, objective: Objective) -> list[Tensor]:
        """Move the weights once; the gradients that were applied."""
        context = self.context("weight_gradient", objective.context.clock, objective.context.masks, "train")
        gradients = self.method.weight_gradient(objective, self.alphas, context)
        if self.method.weight_optimiser.clip is not None:
            clip(gradients, self.method.weight_optimiser.clip)
        self.weight_optimiser.zero_grad()  # weights that rest have no gradient, and stay where they are
        for weight, gradient in zip(self.supernet.weights(), gradients, strict=True):
            weight.grad = gradient
        self.weight_optimiser.step()
        return gradients

    def _averaged(self, gradients: list[Tensor]) -> list[Tensor]:
        self.world.average(gradients)
        return gradients

    def _descent(self) -> Descent:
        settings, group = self.method.weight_optimiser, self.weight_optimiser.param_groups[0]
        states = [self.weight_optimiser.state.get(weight, {}) for weight in self.supernet.weights()]
        buffers = [state.get("momentum_buffer") for state in states]
        return Descent(group["lr"], settings.momentum, group["weight_decay"], buffers)

    # Checkpoints

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold beside the supernet's weights."""
        return {
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "alpha_optimiser": self.alpha_optimiser.state_dict(),
            "alpha_steps": self.alpha_steps,
            "memory": self.memory,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        restore(self.weight_optimiser, state["weight_optimiser"])
        restore(self.alpha_optimiser, state["alpha_optimiser"])
        self.alpha_steps, self.memory = operator.index(state["alpha_steps"]), dict(state["memory"])
        layout.require(all(isinstance(part, dict) for part in self.memory.values()), "memory of components")


def _placed(supernet: Supernet, device: torch.device) -> Supernet:
    """The supernet on the device, images' weights channels last; torch refuses that layout for weights of volumes."""
    volumes = any(parameter.dim() == 5 for parameter in supernet.parameters())
    layout = torch.preserve_format if volumes else torch.channels_last
    return supernet.to(device, memory_format=layout)  # type: ignore[call-overload,no-any-return]
