"""The architecture gradient that looks through one step of the weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual

from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.engine.executor import forced
from archgrad.errors import ArchgradError, require_positive
from archgrad.objective import Descent, Objective, filled, frozen, leaf
from archgrad.roles import ArchitectureGradient

SecondOrder = Literal["exact", "double-backward", "finite-difference"]


@dataclass(frozen=True)
class Unrolled(ArchitectureGradient):
    """∇_α ℓ_val(ω', α) with ω' = ω − ξ(∇_ω ℓ_train(ω, α) + momentum·buffer + weight decay·ω).

    = ∂_α ℓ_val(ω', α) − ξ · ∂²ℓ_train/∂α∂ω · v, with v = ∂ℓ_val/∂ω'. The mixed derivative is computed

    * ``second_order="exact"``: as the derivative of ∇_α ℓ_train(ω + εv) by ε (forward over reverse, plain executor),
    * ``"double-backward"``: by differentiating ⟨∇_ω ℓ_train, v⟩ (plain executor), the same, and also for networks of
      your own whose functions have no forward derivative; it keeps more memory, or
    * ``"finite-difference"``: [∇_α ℓ_train(ω+rv) − ∇_α ℓ_train(ω−rv)] / 2r with r = ``radius`` / ‖v‖, as published.

    ξ is the weights' present learning rate.

    *Source:* DARTS, arXiv 1806.09055, equations 6 to 8. *Differs:* the published code is ``"finite-difference"`` with
    radius 1e-2, which at initialisation can be off by a factor of several.
    """

    second_order: SecondOrder = "finite-difference"
    radius: float = 1e-2

    def __post_init__(self) -> None:
        require_positive("Unrolled", radius=self.radius)
        if self.second_order not in get_args(SecondOrder):
            raise ArchgradError(
                f"Unrolled: second_order must be one of {', '.join(map(repr, get_args(SecondOrder)))}, "
                f"got {self.second_order!r}"
            )

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor]:
        train, descent = objective.inner, objective.descent
        if train is None or descent is None:
            raise ArchgradError("Unrolled needs the training batch and the weight optimiser of the step")
        named = dict(objective.supernet.network.named_parameters())
        names = [name for name, weight in named.items() if weight.requires_grad]
        weights = objective.weights
        with torch.no_grad():
            mixture = train.mix(alphas)
        gradients = train.weight_gradient(mixture)
        ahead = self._ahead(weights, gradients, descent)

        leaves = leaf(alphas)
        value = objective(leaves, weights=dict(zip(names, ahead, strict=True)))
        found = derivatives(value, [*leaves.values(), *ahead])
        direct = filled(leaves, objective.averaged(found[: len(leaves)]))
        direction = objective.averaged(found[len(leaves) :])

        match self.second_order:
            case "exact":
                second = self._forward_over_reverse(train, alphas, dict(zip(names, weights, strict=True)), direction)
            case "double-backward":
                second = self._double_backward(train, alphas, weights, direction)
            case "finite-difference":
                second = self._finite_difference(train, alphas, weights, direction)
        return {group: direct[group] - descent.learning_rate * second[group] for group in direct}

    @staticmethod
    def _ahead(weights: Sequence[Tensor], gradients: Sequence[Tensor], descent: Descent) -> list[Tensor]:
        """ω', cut from any graph; a missing momentum buffer counts as zero."""

        def step(weight: Tensor, gradient: Tensor, buffer: Tensor | None) -> Tensor:
            direction = gradient + descent.weight_decay * weight
            if buffer is not None:
                direction = direction + descent.momentum * buffer
            return weight - descent.learning_rate * direction

        buffers = descent.buffers or [None] * len(weights)
        with torch.no_grad():
            ahead = [step(*parts) for parts in zip(weights, gradients, buffers, strict=True)]
        return [weight.requires_grad_() for weight in ahead]

    def _forward_over_reverse(
        self, train: Objective, alphas: Alphas, weights: Mapping[str, Tensor], v: list[Tensor]
    ) -> dict[str, Tensor]:
        leaves = leaf(alphas)
        with forced("plain"), dual_level(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, about how it compiles forward derivatives
            pairs = zip(weights.items(), v, strict=True)
            moving = {n: make_dual(weight.detach(), along) for (n, weight), along in pairs}  # type: ignore[no-untyped-call]
            loss = train.loss(train.mix(leaves), weights=moving)
            found = derivatives(loss, list(leaves.values()))
            tangents = [unpack_dual(g).tangent for g in found]  # type: ignore[no-untyped-call]
        second = [torch.zeros_like(g) if t is None else t for g, t in zip(found, tangents, strict=True)]
        return filled(leaves, train.averaged(second))

    def _double_backward(
        self, train: Objective, alphas: Alphas, weights: Sequence[Tensor], v: list[Tensor]
    ) -> dict[str, Tensor]:
        leaves = leaf(alphas)
        with forced("plain"):
            loss = train.loss(train.mix(leaves))
            gradients = derivatives(loss, weights, create_graph=True)
            product = torch.stack([(g * d).sum() for g, d in zip(gradients, v, strict=True)]).sum()
            found = derivatives(product, list(leaves.values()))
        return filled(leaves, train.averaged(found))

    def _finite_difference(
        self, train: Objective, alphas: Alphas, weights: Sequence[Tensor], v: list[Tensor]
    ) -> dict[str, Tensor]:
        radius = self.radius / torch.stack(torch._foreach_norm(v)).norm().clamp_min(torch.finfo(v[0].dtype).tiny)
        originals = [weight.detach().clone() for weight in weights]
        sides = []
        for sign in (1, -1):
            with torch.no_grad():
                for weight, original, direction in zip(weights, originals, v, strict=True):
                    weight.copy_(original + sign * radius * direction)
            leaves = leaf(alphas)
            with frozen(train.supernet):
                found = derivatives(train.loss(train.mix(leaves)), list(leaves.values()))
            sides.append(train.averaged(found))
        with torch.no_grad():
            for weight, original in zip(weights, originals, strict=True):
                weight.copy_(original)
        return filled(leaves, [(up - down) / (2 * radius) for up, down in zip(*sides, strict=True)])
