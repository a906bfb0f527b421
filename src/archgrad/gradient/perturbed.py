"""The weight gradient of SmoothDARTS: weights that are good in the neighbourhood of the mixture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal, value_at
from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.devices import placed
from archgrad.errors import ArchgradError, require_positive
from archgrad.gradient.plain import Plain
from archgrad.mixture import Mixture
from archgrad.objective import Objective, frozen
from archgrad.roles import WeightGradient
from archgrad.supernet import Supernet


@dataclass(frozen=True)
class Perturbed(WeightGradient):
    """``base`` at a mixture p + δ with |δ| ≤ ε instead of p; alphas, and the alpha step, know nothing of it.

    ``random``: p + U(−ε, ε), projected; ``adversarial``: the δ that raises the loss of this step's batch: ``steps``
    steps of 2ε/``steps`` along the sign of the gradient, each projected, from a ``random_start`` and with the network
    in evaluation mode; p itself where the loss has fallen on the way. Costs ``steps`` gradients of the mixture.

    ``projection``: ``"rescale"`` clamps a step to the ε-ball, and then the row to [0, 1], and divides it by its sum
    (where nothing is left, its largest entry stays), which may leave the ball; ``"euclidean"`` takes the nearest
    mixture of the ε-ball.

    Only candidates that are computed are perturbed, in the same way at all sites of a group. ``per``: a new δ in every
    step, or one per epoch (against its first batch). ``base``: any weight gradient.

    *Source:* SmoothDARTS, arXiv 2002.05283, equations 6 to 8, and its published program: ε = 0.03 + 0.27·epoch/epochs,
    7 steps, rescaled after the start and after every step. *Differs:* one library perturbed the alphas themselves and
    kept them so.
    """

    mode: Literal["random", "adversarial"] = "random"
    epsilon: float | Anneal = Anneal(0.03, 0.3, over="length")
    steps: int = 7
    random_start: bool = True
    projection: Literal["rescale", "euclidean"] = "rescale"
    per: Literal["step", "epoch"] = "step"
    base: WeightGradient = field(default_factory=Plain)

    def __post_init__(self) -> None:
        require_positive("Perturbed", steps=self.steps)
        ends = (self.epsilon.start, self.epsilon.end) if isinstance(self.epsilon, Anneal) else (self.epsilon,)
        if not all(end >= 0 for end in ends):
            raise ArchgradError(f"Perturbed: epsilon must not be negative, got {self.epsilon!r}")
        if self.mode not in ("random", "adversarial"):
            raise ArchgradError(f"Perturbed: mode must be 'random' or 'adversarial', got {self.mode!r}")
        if self.projection not in ("rescale", "euclidean"):
            raise ArchgradError(f"Perturbed: projection must be 'rescale' or 'euclidean', got {self.projection!r}")
        if self.per not in ("step", "epoch"):
            raise ArchgradError(f"Perturbed: per must be 'step' or 'epoch', got {self.per!r}")

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        with torch.no_grad():
            mixture = objective.mix(alphas)
        perturbed = self.perturbed(objective, mixture, context)
        return self.base(replace(objective, mix=lambda _: perturbed), alphas, context.within("base"))

    def perturbed(self, objective: Objective, mixture: Mixture, context: Context) -> Mixture:
        """The mixture of the weight step."""
        epsilon = value_at(self.epsilon, context.clock)
        if epsilon == 0:
            return mixture
        balls = {
            name: _Ball.around(mixture[name], _alive(mixture, name, group.mask), epsilon)
            for name, group in objective.supernet.groups.items()
        }
        drawn = self._drawn(balls, epsilon, context)
        if self.mode == "random":
            moved = {name: self.projected(ball, drawn[name]) for name, ball in balls.items()}
        elif self.per == "step":
            moved = self._attacked(objective, mixture, balls, drawn, epsilon)
        else:
            memory, epoch = context.memory, context.clock.epoch
            if memory.get("epoch") != epoch:
                moved = self._attacked(objective, mixture, balls, drawn, epsilon)
                memory |= {"epoch": epoch, "moves": {name: moved[name] - ball.centre for name, ball in balls.items()}}
            moves: Mapping[str, Tensor] = memory["moves"]
            ahead = {name: ball.centre + moves[name].to(ball.centre) for name, ball in balls.items()}
            moved = {name: self.projected(ball, ahead[name]) for name, ball in balls.items()}
        return mixture.with_weights({**mixture, **moved})

    def _drawn(self, balls: Mapping[str, _Ball], epsilon: float, context: Context) -> dict[str, Tensor]:
        context = context.of_epoch() if self.per == "epoch" else context
        drawn = {}
        for name, ball in balls.items():
            uniform = torch.rand(ball.centre.shape[1:], generator=context.generator(f"perturbation {name}"))
            drawn[name] = ball.centre + epsilon * (2 * placed(uniform, ball.centre.device, ball.centre.dtype) - 1)
        return drawn

    def _attacked(
        self,
        objective: Objective,
        mixture: Mixture,
        balls: Mapping[str, _Ball],
        drawn: Mapping[str, Tensor],
        epsilon: float,
    ) -> dict[str, Tensor]:
        probe = objective.observer()

        def loss_at(point: Mapping[str, Tensor]) -> Tensor:
            return probe.loss(mixture.with_weights({**mixture, **point}))

        with frozen(objective.supernet), _evaluating(objective.supernet):
            return self.climb(loss_at, balls, drawn if self.random_start else None, epsilon, probe.averaged)

    def climb(
        self,
        loss: Callable[[Mapping[str, Tensor]], Tensor],
        balls: Mapping[str, _Ball],
        start: Mapping[str, Tensor] | None,
        epsilon: float,
        averaged: Callable[[list[Tensor]], list[Tensor]] = lambda values: values,
    ) -> dict[str, Tensor]:
        """The mixtures at the end of the ascent, or the centres where those have the larger loss."""
        centres = {name: ball.centre for name, ball in balls.items()}
        point = centres if start is None else {name: self.projected(ball, start[name]) for name, ball in balls.items()}
        for _ in range(self.steps):
            leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
            slopes = averaged(derivatives(loss(leaves), list(leaves.values())))
            signs = [slope.sum(0, keepdim=True).sign() for slope in slopes]
            stride = 2 * epsilon / self.steps
            point = {
                name: self.projected(ball, point[name] + stride * sign, epsilon)
                for (name, ball), sign in zip(balls.items(), signs, strict=True)
            }
        with torch.no_grad():
            before, after = averaged([loss(centres).clone(), loss(point).clone()])
        return {name: torch.where(after < before, centres[name], point[name]) for name in point}

    def projected(self, ball: _Ball, point: Tensor, epsilon: float = math.inf) -> Tensor:
        """The mixture for a point; before it is rescaled no entry is more than ε away from the centre."""
        return ball.rescaled(ball.near(point, epsilon)) if self.projection == "rescale" else ball.nearest(point)


@dataclass(frozen=True)
class _Ball:
    """The mixtures of one group within [low, high] whose rows have the sums of the centre's."""

    centre: Float[Tensor, "sites edges ops"]
    low: Tensor
    high: Tensor

    @classmethod
    def around(cls, centre: Tensor, alive: Bool[Tensor, "sites edges ops"], epsilon: float) -> _Ball:
        centre, alive = centre.detach(), placed(alive, centre.device)
        low = torch.where(alive, (centre - epsilon).clamp_min(0), centre)
        return cls(centre, torch.minimum(low, centre), torch.where(alive, centre + epsilon, centre))

    def near(self, point: Tensor, epsilon: float) -> Tensor:
        """The point, each entry at most ε away from the centre."""
        return torch.minimum(torch.maximum(point, self.centre - epsilon), self.centre + epsilon)

    def rescaled(self, point: Tensor) -> Tensor:
        """The rows clamped to [0, 1] and scaled to their right sums; all for the largest entry if nothing is left."""
        alive, wanted = self.high > self.low, self.centre.sum(-1, keepdim=True)
        clamped = torch.where(alive, point.clamp(0, 1), self.centre)
        sums = clamped.sum(-1, keepdim=True)
        top = point.masked_fill(~alive, -torch.inf).argmax(-1, keepdim=True)
        lone = torch.zeros_like(point).scatter(-1, top, 1.0)
        return wanted * torch.where(sums > 0, clamped / sums.clamp_min(torch.finfo(sums.dtype).tiny), lone)

    def nearest(self, point: Tensor) -> Tensor:
        """The nearest mixture of the ball: clamp(point − τ), with the τ per row that gives the right sum."""
        wanted = self.centre.sum(-1, keepdim=True)
        below, above = (point - self.high).amin(-1, keepdim=True), (point - self.low).amax(-1, keepdim=True)
        for _ in range(40):
            middle = (below + above) / 2
            too_much = self._clamped(point - middle).sum(-1, keepdim=True) > wanted
            below, above = torch.where(too_much, middle, below), torch.where(too_much, above, middle)
        return self._clamped(point - (below + above) / 2)

    def _clamped(self, point: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(point, self.low), self.high)


@contextmanager
def _evaluating(supernet: Supernet) -> Iterator[None]:
    """Evaluation mode for a while; every module goes back to the mode that it was in."""
    training = [module for module in supernet.modules() if module.training]
    supernet.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _alive(mixture: Mixture, name: str, mask: Bool[Tensor, "edges ops"]) -> Tensor:
    """The candidates that exist and are computed; a lone one keeps its weight whatever is drawn."""
    alive = mask.expand(mixture[name].shape)
    return alive & mixture.active[name] if name in mixture.active else alive
