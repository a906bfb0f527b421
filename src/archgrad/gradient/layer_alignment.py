"""The weight gradient of Λ-DARTS: make the cells agree on the direction in which the mixture should move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.engine.executor import forced
from archgrad.errors import ArchgradError, require_positive
from archgrad.formulas.alignment import KINDS, Kind, alignment, alignment_gradient, inverse
from archgrad.gradient.plain import Plain
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.roles import WeightGradient


@dataclass(frozen=True)
class LayerAlignment(WeightGradient):
    """∇_ω ℓ_train − λ_t ∇_ω Λ, with λ_t rising linearly from 0 in the first epoch to ``strength`` in the last.

    ∇_ω Λ ≈ [∇_ω ℓ(p + ε δ) − ∇_ω ℓ(p − ε δ)] / 2ε on the same minibatch, every site's row of the mixture p perturbed by
    its own δ, ε = ``epsilon`` / ‖(δ_1, …, δ_L)‖; ``exact``: by double backward instead.

    ``groups``: whose sites are aligned, each group among its own; all groups with more than one site by default.
    ``base``: the weight gradient that is regularised.

    *Source:* Λ-DARTS, arXiv 2210.07998, algorithm 1. *Differs:* rows where the published code divides by a vanishing
    norm are left alone; the extra passes replay the step's random numbers and move no running statistics.
    """

    strength: float = 0.125
    epsilon: float = 1e-4
    kind: Kind = "corr"
    groups: tuple[str, ...] | None = None
    exact: bool = False
    base: WeightGradient = field(default_factory=Plain)

    def __post_init__(self) -> None:
        require_positive("LayerAlignment", epsilon=self.epsilon)
        if self.strength < 0:
            raise ArchgradError(f"LayerAlignment: strength must not be negative, got {self.strength}")
        if self.kind not in KINDS:
            raise ArchgradError(f"LayerAlignment: kind must be 'corr' or 'signcorr', got {self.kind!r}")

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> list[Tensor]:
        strength = self.strength * context.clock.progress
        groups = self._aligned(objective)
        if strength == 0 or not groups:
            return self.base(objective, alphas, context.within("base"))
        with torch.no_grad():
            mixture = objective.mix(alphas)
        cut = mixture.leaf()
        # The plain gradient and those of the sites come from one backward pass; any other base has its own passes.
        gradients = objective.weight_gradient(cut)
        sites = {group: objective.trace.site_gradients[group] for group in groups}
        if not isinstance(self.base, Plain):
            gradients = self.base(objective, alphas, context.within("base"))
        if self.exact:
            ascent = self._exact(objective, mixture, groups)
        else:
            ascent = self._finite_difference(objective, mixture, sites)
        return [g - strength * a for g, a in zip(gradients, ascent, strict=True)]

    def _aligned(self, objective: Objective) -> tuple[str, ...]:
        sites = objective.supernet.sites
        chosen = tuple(g for g, count in sites.items() if count > 1) if self.groups is None else self.groups
        if missing := [group for group in chosen if group not in sites]:
            raise ArchgradError(f"LayerAlignment: there is no group {missing[0]!r}; the supernet has {sorted(sites)}")
        return chosen

    def _finite_difference(self, objective: Objective, mixture: Mixture, sites: Mapping[str, Tensor]) -> list[Tensor]:
        delta = {g: alignment_gradient(rows.flatten(1), self.kind).view_as(rows) for g, rows in sites.items()}
        epsilon = self.epsilon * inverse(torch.stack([d.norm() for d in delta.values()]).norm())
        up, down = (objective.weight_gradient(_moved(mixture, delta, s * epsilon), precise=True) for s in (1, -1))
        scale = inverse(2 * epsilon)
        return [(a - b) * scale for a, b in zip(up, down, strict=True)]

    def _exact(self, objective: Objective, mixture: Mixture, groups: Sequence[str]) -> list[Tensor]:
        with forced("plain"):
            cut = mixture.leaf()
            loss = objective.loss(cut, precise=True)
            found = derivatives(loss, [cut[group] for group in groups], create_graph=True)
            value = torch.stack([alignment(g.flatten(1), self.kind) for g in found]).sum()
            gradients = derivatives(value, objective.weights)
        return objective.averaged(gradients)


def _moved(mixture: Mixture, delta: Mapping[str, Tensor], step: Tensor) -> Mixture:
    return mixture.with_weights({g: w + step * delta[g] if g in delta else w for g, w in mixture.items()})
