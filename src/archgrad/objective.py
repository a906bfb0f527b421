"""A loss as a function of alphas over one batch, which may be evaluated any number of times in a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from archgrad.context import Alphas, Context
from archgrad.data.augmentation import Normalisation
from archgrad.derivatives import derivatives
from archgrad.engine.statistics import unmoved
from archgrad.mixture import Mixture
from archgrad.randomness import seed_torch
from archgrad.supernet import Supernet
from archgrad.tasks import Classification, Task


def no_penalty(alphas: Alphas, mixture: Mixture, objective: Objective) -> None:
    """Nothing is added to the loss."""


Derive = Callable[["Objective", Mixture, Sequence[Tensor], Any, bool], list[Tensor] | None]
"""(objective, mixture, tensors, other inputs, precise) → the gradients of the loss; None to have them computed."""


@dataclass(frozen=True)
class Descent:
    """The next step of the weight optimiser, for gradients that look ahead: SGD with momentum buffers."""

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    buffers: Sequence[Tensor | None] = ()


@dataclass
class Trace:
    """What the evaluations of one step leave behind: loss and outputs of the first, the latest gradients of the sites.

    Objectives that are made from one another by `dataclasses.replace` share it.
    """

    loss: Tensor | None = None
    outputs: Any = None
    site_gradients: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Objective:
    """ℓ(alphas) = loss(supernet(x, mix(alphas)), y) + penalty, the loss of the task, over one batch.

    Every evaluation replays the same random numbers, and only the first one of a step moves the running statistics of
    the supernet, so components evaluate as often as they like without disturbing the run.

    ``mix``: alphas → mixture, the same whenever it is asked with the same alphas in one step.
    ``penalty``: (alphas, mixture, this objective) → what is added to the loss, None for nothing.
    ``inner``: the training objective of the same step, for gradients that look through a weight step.
    ``averaged``: turns gradients of this process into those of the whole batch.
    ``normalisation``: how pixels became the numbers of the batch; None where they are pixels in [0, 1].
    ``graphs``: may compute gradients of the loss from recordings (`archgrad.graphs`).
    ``observing``: only looks: not even the first evaluation moves the running statistics (see `observer`).
    """

    supernet: Supernet
    mix: Callable[[Alphas], Mixture]
    batch: tuple[Any, Any]
    context: Context
    penalty: Callable[[Alphas, Mixture, Objective], Tensor | None] = no_penalty
    task: Task = field(default_factory=Classification)
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    averaged: Callable[[list[Tensor]], list[Tensor]] = lambda gradients: gradients
    purpose: str = ""
    inner: Objective | None = None
    descent: Descent | None = None
    normalisation: Normalisation | None = None
    observing: bool = False
    graphs: Derive | None = None
    trace: Trace = field(default_factory=Trace)

    @property
    def weights(self) -> list[nn.Parameter]:
        """The supernet's weights that are trained."""
        return self.supernet.weights()

    def observer(self) -> Objective:
        """The same loss for one who only looks: its evaluations leave nothing behind, in the supernet or here."""
        return replace(self, observing=True, trace=Trace())

    def loss(
        self,
        mixture: Mixture,
        *,
        inputs: Any = None,
        weights: Mapping[str, Tensor] | None = None,
        precise: bool = False,
    ) -> Tensor:
        """The loss of a mixture, without the penalty; with other inputs or other weights (by name) on request.

        ``precise``: no reduced precision, for differences of nearby values.
        """
        self.seed()
        loss, outputs = self.computed(
            mixture, inputs=inputs, weights=weights, precise=precise, moves=self.moves_statistics
        )
        self.note(loss.detach(), outputs.detach() if isinstance(outputs, Tensor) else None)
        return loss

    @property
    def moves_statistics(self) -> bool:
        """Whether the next evaluation moves the running statistics: the first one of a step does."""
        return self.trace.loss is None and not self.observing

    def seed(self) -> None:
        """Have the next evaluation draw the random numbers of this step."""
        clock = self.context.clock
        seed_torch(self.context.seed, "forward", self.purpose, clock.epoch, clock.step)

    def note(self, loss: Tensor, outputs: Tensor | None) -> None:
        """Keep what the first evaluation found."""
        if self.trace.loss is None:
            self.trace.loss, self.trace.outputs = loss, outputs

    def computed(
        self,
        mixture: Mixture,
        *,
        moves: bool,
        inputs: Any = None,
        weights: Mapping[str, Tensor] | None = None,
        precise: bool = False,
    ) -> tuple[Tensor, Any]:
        """Loss and outputs of one evaluation, with the random numbers that come next."""
        x, y = self.batch
        x = x if inputs is None else inputs
        with nullcontext() if moves else unmoved(self.supernet), nullcontext() if precise else self.autocast():
            if weights is None:
                outputs = self.supernet(x, mixture)
            else:
                outputs = torch.func.functional_call(
                    self.supernet, self._placed(weights), (x, mixture), tie_weights=False
                )
            return self.task.mean_loss(outputs, y), outputs

    def derived(
        self, mixture: Mixture, tensors: Sequence[Tensor], *, inputs: Any = None, precise: bool = False
    ) -> list[Tensor]:
        """The gradients of the loss by tensors that it depends on, averaged over processes."""
        found = self.graphs(self, mixture, tensors, inputs, precise) if self.graphs else None
        if found is None:
            found = derivatives(self.loss(mixture, inputs=inputs, precise=precise), tensors)
        return self.averaged(found)

    def _placed(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Place → value, also where a parameter is used by several modules; a module that is used twice counts once.

        torch's own tying would put the value of such a module back twice, the second time the wrong one.
        """
        named = self.supernet.network.named_parameters()
        values = {id(parameter): weights[name] for name, parameter in named if name in weights}
        return {
            f"network.{path}.{name}" if path else f"network.{name}": values[id(parameter)]
            for path, module in self.supernet.network.named_modules()
            for name, parameter in module._parameters.items()
            if id(parameter) in values
        }

    def __call__(self, alphas: Alphas, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        mixture = self.mix(alphas)
        loss = self.loss(mixture, weights=weights)
        penalty = self.penalty(alphas, mixture, self)
        return loss if penalty is None else loss + penalty

    def gradient(self, alphas: Alphas) -> dict[str, Tensor]:
        """∇ℓ(alphas), at the supernet's weights; ``trace.site_gradients`` then holds ∂ℓ/∂mixture of every site.

        In two stages, first to the mixture and then through the relaxation, so that the gradients of the sites come
        for free and no gradient of a weight is ever computed.
        """
        leaves = leaf(alphas)
        with frozen(self.supernet):
            mixture = self.mix(leaves)
            cut = mixture.leaf()
            pairs = [(ours, at) for ours, at in zip(mixture.tensors, cut.tensors, strict=True) if ours.requires_grad]
            outputs = [ours for ours, _ in pairs]
            gradients = self.derived(cut, [at for _, at in pairs])
            penalty = self.penalty(leaves, mixture, self)
        if not self.trace.site_gradients:
            found = {id(ours): gradient for ours, gradient in zip(outputs, gradients, strict=True)}
            self.trace.site_gradients = {group: found[id(w)] for group, w in mixture.items() if id(w) in found}
        if penalty is not None and penalty.requires_grad:
            outputs, gradients = [*outputs, penalty], [*gradients, torch.ones_like(penalty)]
        if not outputs:
            return filled(leaves, [None] * len(leaves))
        through = filled(leaves, torch.autograd.grad(outputs, list(leaves.values()), gradients, allow_unused=True))
        if penalty is None:
            return through
        # A penalty may look at the batch, of which this process has its own part.
        return dict(zip(leaves, self.averaged(list(through.values())), strict=True))

    def weight_gradient(self, mixture: Mixture, *, inputs: Any = None, precise: bool = False) -> list[Tensor]:
        """∇ℓ in the weights at a given mixture, zeros for weights that took no part, averaged over processes.

        Groups of the mixture that collect gradients leave theirs in ``trace.site_gradients``.
        """
        weights = self.weights
        watched = {group: w for group, w in mixture.items() if w.requires_grad}
        tensors = [*weights, *watched.values()]
        gradients = self.derived(mixture, tensors, inputs=inputs, precise=precise)
        if watched:
            self.trace.site_gradients = dict(zip(watched, gradients[len(weights) :], strict=True))
        return gradients[: len(weights)]


def leaf(alphas: Alphas) -> dict[str, Tensor]:
    """Copies of the alphas, cut from any graph, that collect gradients."""
    return {group: alpha.detach().clone().requires_grad_() for group, alpha in alphas.items()}


def filled(alphas: Alphas, gradients: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """Gradients by group, with zeros where one is missing."""
    pairs = zip(alphas.items(), gradients, strict=True)
    return {group: torch.zeros_like(alpha) if g is None else g.detach() for (group, alpha), g in pairs}


@contextmanager
def frozen(supernet: Supernet) -> Iterator[None]:
    """Let no weight of the supernet require a gradient for a while."""
    thawed = supernet.weights()
    for weight in thawed:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in thawed:
            weight.requires_grad_()
