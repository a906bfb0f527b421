"""The weight gradient of SmoothDARTS: weights that are good in the neighbourhood of the mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal, value_at
from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.errors import ArchgradError, require_positive
from archgrad.gradient.plain import Plain
from archgrad.mixture import Mixture
from archgrad.objective import Objective, frozen
from archgrad.roles import WeightGradient


@dataclass(frozen=True)
class Perturbed(WeightGradient):
    """``base`` at a mixture p + δ with |δ| ≤ ε instead of p; alphas, and the alpha step, know nothing of it.

    ``random``: p + U(−ε, ε), clamped at 0, and brought back to the sum that the row had;
    ``adversarial``: the δ that raises the loss of this step's batch: ``steps`` steps of 2ε/``steps`` along the sign of
    the gradient, each projected to the ε-ball and to the simplex, after a ``random_start``; of all points seen, the
    mixture itself included, the one with the largest loss. Costs ``steps`` gradients of the mixture.

    Only candidates that are computed are perturbed; all sites of a group alike. ``per``: a new δ in every step, or one
    per epoch (against its first batch). ``base``: any weight gradient.

    *Source:* SmoothDARTS, arXiv 2002.05283, equations 6 to 8: ε = 0.03 + 0.27·epoch/epochs, 7 steps. *Differs:* the
    published code attacks in evaluation mode and does not project to the simplex; one library perturbed the alphas
    themselves and kept them so.
    """

    mode: Literal["random", "adversarial"] = "random"
    epsilon: float | Anneal = Anneal(0.03, 0.3, over="length")
    steps: int = 7
    random_start: bool = True
    per: Literal["step", "epoch"] = "step"
    base: WeightGradient = field(default_factory=Plain)

    def __post_init__(self) -> None:
        require_positive("Perturbed", steps=self.steps)
        ends = (self.epsilon.start, self.epsilon.end) if isinstance(self.epsilon, Anneal) else (self.epsilon,)
        if not all(end >= 0 for end in ends):
            raise ArchgradError(f"Perturbed: epsilon must not be negative, got {self.epsilon!r}")
        if self.mode not in ("random", "adversarial"):
            raise ArchgradError(f"Perturbed: mode must be 'random' or 'adversarial', got {self.mode!r}")
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
            moved = {name: _renormalised(ball, drawn[name]) for name, ball in balls.items()}
        elif self.per == "step":
            moved = self._attacked(objective, mixture, balls, drawn, epsilon)
        else:
            memory, epoch = context.memory, context.clock.epoch
            if memory.get("epoch") != epoch:
                moved = self._attacked(objective, mixture, balls, drawn, epsilon)
                memory |= {"epoch": epoch, "moves": {name: moved[name] - ball.centre for name, ball in balls.items()}}
            moves: Mapping[str, Tensor] = memory["moves"]
            moved = {name: ball.projected(ball.centre + moves[name].to(ball.centre)) for name, ball in balls.items()}
        return mixture.with_weights({**mixture, **moved})

    def _drawn(self, balls: Mapping[str, _Ball], epsilon: float, context: Context) -> dict[str, Tensor]:
        context = context.of_epoch() if self.per == "epoch" else context
        drawn = {}
        for name, ball in balls.items():
            uniform = torch.rand(ball.centre.shape[1:], generator=context.generator(f"perturbation {name}"))
            drawn[name] = ball.centre + epsilon * (2 * uniform.to(ball.centre) - 1)
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
        best = {name: ball.centre for name, ball in balls.items()}
        with torch.no_grad():
            highest = probe.averaged([probe.loss(mixture).clone()])[0]

        def loss_at(point: Mapping[str, Tensor]) -> Tensor:
            return probe.loss(mixture.with_weights({**mixture, **point}))

        def better(value: Tensor, point: Mapping[str, Tensor]) -> None:
            nonlocal best, highest
            value = probe.averaged([value.detach().clone()])[0]
            best = {name: torch.where(value > highest, point[name].detach(), best[name]) for name in best}
            highest = torch.maximum(value, highest)

        with frozen(objective.supernet):
            point = {name: ball.projected(drawn[name]) for name, ball in balls.items()} if self.random_start else best
            for _ in range(self.steps):
                leaves = {name: p.detach().requires_grad_() for name, p in point.items()}
                value = loss_at(leaves)
                slopes = derivatives(value, list(leaves.values()))
                better(value, leaves)
                signs = [row.sum(0, keepdim=True).sign() for row in probe.averaged(slopes)]
                stride = 2 * epsilon / self.steps
                point = {
                    name: ball.projected(point[name] + stride * sign)
                    for (name, ball), sign in zip(balls.items(), signs, strict=True)
                }
            with torch.no_grad():
                better(loss_at(point), point)
        return best


@dataclass(frozen=True)
class _Ball:
    """The mixtures of one group within [low, high] whose rows have the sums of the centre's."""

    centre: Float[Tensor, "sites edges ops"]
    low: Tensor
    high: Tensor

    @classmethod
    def around(cls, centre: Tensor, alive: Bool[Tensor, "sites edges ops"], epsilon: float) -> _Ball:
        centre, alive = centre.detach(), alive.to(centre.device)
        low = torch.where(alive, (centre - epsilon).clamp_min(0), centre)
        return cls(centre, torch.minimum(low, centre), torch.where(alive, centre + epsilon, centre))

    def projected(self, point: Tensor) -> Tensor:
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


def _renormalised(ball: _Ball, drawn: Tensor) -> Tensor:
    """The drawn rows clamped at 0 and scaled to the sums of the centre's; the centre where nothing is left."""
    clamped = torch.where(ball.high > ball.low, drawn.clamp_min(0), ball.centre)
    sums = clamped.sum(-1, keepdim=True)
    scaled = clamped * (ball.centre.sum(-1, keepdim=True) / sums.clamp_min(torch.finfo(sums.dtype).tiny))
    return torch.where(sums > 0, scaled, ball.centre)


def _alive(mixture: Mixture, name: str, mask: Bool[Tensor, "edges ops"]) -> Tensor:
    """The candidates that exist and are computed; a lone one keeps its weight whatever is drawn."""
    alive = mask.expand(mixture[name].shape)
    return alive & mixture.active[name] if name in mixture.active else alive
