"""A loss as a function of alphas over one batch, which may be evaluated any number of times in a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from archgrad.components import Alphas, Context, Modifier, Regulariser, Relaxation
from archgrad.data.augmentation import Normalisation
from archgrad.derivatives import derivatives
from archgrad.engine.checkpoint import as_now
from archgrad.mixture import Mixture
from archgrad.randomness import derive
from archgrad.supernet import Supernet

Criterion = Callable[[Any, Tensor], Tensor]


@dataclass(frozen=True)
class Descent:
    """The next step of the weight optimiser, for gradients that look ahead: SGD with momentum buffers."""

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    buffers: Sequence[Tensor | None] = ()


@dataclass
class Objective:
    """ℓ(alphas) = criterion(supernet(x, relaxation(alphas)), y) + regularisers, over one batch.

    Every evaluation replays the same random numbers, and only the first one of a step moves the running statistics of
    the supernet, so components evaluate as often as they like without disturbing the run.

    ``inner``: the training objective of the same step, for gradients that look through a weight step.
    ``averaged``: turns gradients of this process into those of the whole batch.
    ``normalisation``: how pixels became the numbers of the batch; None where they are pixels in [0, 1].
    ``observing``: only looks: not even the first evaluation moves the running statistics.
    """

    supernet: Supernet
    relaxation: Relaxation
    batch: tuple[Any, Tensor]
    context: Context
    modifiers: Sequence[Modifier] = ()
    regularisers: Sequence[Regulariser] = ()
    criterion: Criterion = F.cross_entropy
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    averaged: Callable[[list[Tensor]], list[Tensor]] = lambda gradients: gradients
    purpose: str = ""
    inner: Objective | None = None
    descent: Descent | None = None
    normalisation: Normalisation | None = None
    observing: bool = False
    loss_value: Tensor | None = field(default=None, init=False)
    logits: Tensor | None = field(default=None, init=False)
    site_gradients: dict[str, Tensor] = field(default_factory=dict, init=False)

    @property
    def weights(self) -> list[nn.Parameter]:
        """The supernet's weights that are trained."""
        return self.supernet.weights()

    def mixture(self, alphas: Alphas) -> Mixture:
        """The mixture of this step, the same whenever it is asked for with the same alphas."""
        mixture = self.relaxation(self._of_groups(alphas), self.supernet.sites, self.context)
        for modifier in self.modifiers:
            mixture = modifier.mix(mixture, alphas, self.context)
        return mixture

    def _of_groups(self, alphas: Alphas) -> dict[str, Tensor]:
        return {group: alphas[group] for group in self.supernet.groups}

    def loss(
        self,
        mixture: Mixture,
        *,
        inputs: Any = None,
        weights: Mapping[str, Tensor] | None = None,
        precise: bool = False,
    ) -> Tensor:
        """The loss of a mixture, without regularisers; with other inputs or other weights (by name) on request.

        ``precise``: no reduced precision, for differences of nearby values.
        """
        x, y = self.batch
        x = x if inputs is None else inputs
        clock = self.context.clock
        torch.manual_seed(derive(self.context.seed, "forward", self.purpose, clock.epoch, clock.step))
        first = self.loss_value is None
        statistics = nullcontext() if first and not self.observing else as_now(self.supernet)
        with statistics, nullcontext() if precise else self.autocast():
            if weights is None:
                logits = self.supernet(x, mixture)
            else:
                logits = torch.func.functional_call(
                    self.supernet, self._placed(weights), (x, mixture), tie_weights=False
                )
            loss = self.criterion(logits, y)
        if first:
            self.loss_value = loss.detach()
            self.logits = logits.detach() if isinstance(logits, Tensor) else None
        return loss

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

    def penalty(self, alphas: Alphas, mixture: Mixture) -> Tensor | None:
        """The sum of the regularisers; None where there are none."""
        mine = self._of_groups(alphas)
        terms = [regulariser(mine, mixture, self.context) for regulariser in self.regularisers]
        return torch.stack(terms).sum() if terms else None

    def __call__(self, alphas: Alphas, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        mixture = self.mixture(alphas)
        penalty = self.penalty(alphas, mixture)
        loss = self.loss(mixture, weights=weights)
        return loss if penalty is None else loss + penalty

    def gradient(self, alphas: Alphas) -> dict[str, Tensor]:
        """∇ℓ(alphas), at the supernet's weights; ``site_gradients`` then holds ∂ℓ/∂mixture of every site.

        In two stages, first to the mixture and then through the relaxation, so that the gradients of the sites come
        for free and no gradient of a weight is ever computed.
        """
        leaves = leaf(alphas)
        with frozen(self.supernet):
            mixture = self.mixture(leaves)
            groups = [group for group in mixture if mixture[group].requires_grad]
            cut = mixture.leaf()
            loss = self.loss(cut)
            found = derivatives(loss, [cut[group] for group in groups])
        rows = self.averaged(found) if found else found
        if not self.site_gradients:
            self.site_gradients = dict(zip(groups, rows, strict=True))
        outputs, gradients = [mixture[group] for group in groups], list(rows)
        penalty = self.penalty(leaves, mixture)
        if penalty is not None and penalty.requires_grad:
            outputs.append(penalty)
            gradients.append(torch.ones_like(penalty))
        if not outputs:
            return filled(leaves, [None] * len(leaves))
        through = torch.autograd.grad(outputs, list(leaves.values()), gradients, allow_unused=True)
        return filled(leaves, through)

    def weight_gradient(self, mixture: Mixture, *, inputs: Any = None, precise: bool = False) -> list[Tensor]:
        """∇ℓ in the weights at a given mixture, zeros for weights that took no part, averaged over processes.

        Groups of the mixture that collect gradients leave theirs in ``site_gradients``.
        """
        weights = self.weights
        watched = {group: w for group, w in mixture.items() if w.requires_grad}
        tensors = [*weights, *watched.values()]
        gradients = self.averaged(derivatives(self.loss(mixture, inputs=inputs, precise=precise), tensors))
        if watched:
            self.site_gradients = dict(zip(watched, gradients[len(weights) :], strict=True))
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
