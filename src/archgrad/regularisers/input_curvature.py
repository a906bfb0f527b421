"""The regulariser of AdvRush: architectures whose loss is smooth in the images."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from archgrad.anneal import Anneal
from archgrad.context import Alphas, Clock, Context
from archgrad.derivatives import derivatives
from archgrad.engine.executor import forced
from archgrad.errors import ArchgradError, require_positive
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.roles import Regulariser


@dataclass(frozen=True)
class InputCurvature(Regulariser):
    """``weight`` · mean over images of ‖∇_x ℓ(x + h z) − ∇_x ℓ(x)‖².

    z is the unit vector along sign ∇_x ℓ(x), kept constant; ``h`` is a length in what the network sees, so that the
    penalty is h² times the squared curvature of the loss along z, to first order in h. ``start``: share of the epochs
    before which it is left out. Costs a double backward pass through the plain supernet.

    *Source:* AdvRush, arXiv 2108.01289, equation 7 (after CURE, arXiv 1811.09716): h = 1.5, weight 0.01, from epoch 50
    of 60 on.
    """

    weight: float | Anneal = 0.01
    h: float = 1.5
    start: float = 5 / 6

    def __post_init__(self) -> None:
        require_positive("InputCurvature", h=self.h)
        if not 0 <= self.start <= 1:
            raise ArchgradError(f"InputCurvature: start must be a share of the epochs, in [0, 1], got {self.start!r}")

    def weight_at(self, clock: Clock) -> float:
        """0 before the start."""
        return super().weight_at(clock) if clock.epoch >= self.start * clock.epochs else 0.0

    def term(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        if objective is None:
            raise ArchgradError("InputCurvature needs the objective of a batch")
        return curvature(objective, mixture, self.h)


def curvature(objective: Objective, mixture: Mixture, h: float) -> Float[Tensor, ""]:
    """The mean over images of ‖∇_x ℓ(x + h z) − ∇_x ℓ(x)‖², differentiable in the mixture."""
    x, y = objective.batch
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise ArchgradError(f"InputCurvature: expected a batch of images, got {type(x).__name__}")

    def slope(inputs: Tensor) -> Tensor:
        at = inputs.detach().requires_grad_()
        with forced("plain"):
            loss = objective.loss(mixture, inputs=at, precise=True)
        # The loss is a mean over images: times their number this is each image's own gradient.
        return len(y) * derivatives(loss, [at], create_graph=True)[0]

    here = slope(x)
    direction = here.detach().sign()
    length = direction.flatten(1).norm(dim=1).clamp_min(1).view(-1, *[1] * (x.dim() - 1))
    difference = slope(x + h * direction / length) - here
    return (difference**2).flatten(1).sum(1).mean()
