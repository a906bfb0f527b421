"""The architecture gradient of iDARTS: through weights that are optimal for the alphas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.engine.executor import forced
from archgrad.errors import ArchgradError, require_positive
from archgrad.objective import Objective, filled, leaf
from archgrad.roles import ArchitectureGradient

SecondOrder = Literal["hybrid", "exact", "finite-difference"]
SecondProducts = Callable[[list[Tensor]], tuple[list[Tensor], dict[str, Tensor]]]


@dataclass(frozen=True)
class ImplicitGradient(ArchitectureGradient):
    """∂_α ℓ_val − ∂²ℓ_train/∂α∂ω · γ Σ_{t<T} (I − γH)^t · ∂_ω ℓ_val, with H = ∂²ℓ_train/∂ω².

    ``decay``: add the weights' decay to H, which makes it the Hessian of what the weights descend.

    The sum tends to H⁻¹ where all eigenvalues of γH lie in (0, 2), and the whole to the gradient of ℓ_val(ω*(α), α) by
    the implicit function theorem, taken at the present weights. ``terms``: T; each costs one product with H. ``gamma``:
    γ, the weights' present learning rate by default; with T = 1 this is `Unrolled` without its step ahead.

    ``second_order``: how products with second derivatives are taken. ``"exact"``: all from one double backward (plain
    executor, which keeps its whole graph); ``"finite-difference"``: [∇ℓ_train(ω + rv) − ∇ℓ_train(ω − rv)] / 2r with
    r = ``radius`` / ‖v‖, two passes per term; ``"hybrid"``: those with H exactly, and the last one, along the sum, by a
    finite difference whose r is ``radius`` / ‖∂_ω ℓ_val‖. A step as long as that crosses kinks of ReLUs, so that the
    three are far apart in networks that have some.

    *Source:* iDARTS, arXiv 2106.10784, the Neumann approximation of the implicit gradient; its program is ``"hybrid"``
    and has no decay in H.
    """

    terms: int = 3
    gamma: float | None = None
    second_order: SecondOrder = "hybrid"
    radius: float = 1e-2
    decay: bool = False

    def __post_init__(self) -> None:
        require_positive("ImplicitGradient", terms=self.terms, radius=self.radius)
        if self.gamma is not None:
            require_positive("ImplicitGradient", gamma=self.gamma)
        if self.second_order not in get_args(SecondOrder):
            raise ArchgradError(
                "ImplicitGradient: second_order must be 'hybrid', 'exact' or 'finite-difference', "
                f"got {self.second_order!r}"
            )

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor]:
        train, descent = objective.inner, objective.descent
        if train is None or descent is None:
            raise ArchgradError("ImplicitGradient needs the training batch and the weight optimiser of the step")
        gamma = descent.learning_rate if self.gamma is None else self.gamma
        leaves = leaf(alphas)
        found = derivatives(objective(leaves), [*leaves.values(), *objective.weights])
        count = len(leaves)
        mine = objective.averaged(found[:count])
        direct = filled(leaves, mine)
        term = objective.averaged(found[count:])

        sized = term if self.second_order == "hybrid" else None
        numeric = self._finite_difference(train, alphas, sized)
        exact = numeric if self.second_order == "finite-difference" else self._exact(train, alphas)
        total = term
        for _ in range(self.terms - 1):
            curved, _ = exact(term)
            pairs = zip(term, curved, strict=True)
            decay = descent.weight_decay if self.decay else 0.0
            term = [t - gamma * (c + decay * t) for t, c in pairs]
            total = [a + b for a, b in zip(total, term, strict=True)]
        _, mixed = (exact if self.second_order == "exact" else numeric)(total)
        return {group: direct[group] - gamma * mixed[group] for group in direct}

    def _exact(self, train: Objective, alphas: Alphas) -> SecondProducts:
        """The map v → (H v, ∂²ℓ/∂α∂ω · v), from one graph."""
        leaves, weights = leaf(alphas), train.weights
        with forced("plain"):
            loss = train.loss(train.mix(leaves))
            gradients = derivatives(loss, weights, create_graph=True)
        inputs = [*weights, *leaves.values()]

        def product(v: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
            along = torch.stack([(g * d).sum() for g, d in zip(gradients, v, strict=True)]).sum()
            found = derivatives(along, inputs, retain_graph=True)
            return _split(train, found, leaves)

        return product

    def _finite_difference(self, train: Objective, alphas: Alphas, sized: list[Tensor] | None) -> SecondProducts:
        """The same map, from gradients at ω ± rv; ``sized``: what r is divided by the norm of, v itself by default."""
        named = {n: w for n, w in train.supernet.network.named_parameters() if w.requires_grad}

        def side(v: list[Tensor], step: Tensor) -> list[Tensor]:
            leaves = leaf(alphas)
            pairs = zip(named.items(), v, strict=True)
            moved = {n: (w.detach() + step * d).requires_grad_() for (n, w), d in pairs}
            inputs = [*moved.values(), *leaves.values()]
            loss = train.loss(train.mix(leaves), weights=moved, precise=True)
            return derivatives(loss, inputs)

        def product(v: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
            length = torch.stack(torch._foreach_norm(v if sized is None else sized)).norm()
            size = length.clamp_min(torch.finfo(v[0].dtype).tiny)
            step = self.radius / size
            slopes = [(a - b) / (2 * step) for a, b in zip(side(v, step), side(v, -step), strict=True)]
            return _split(train, slopes, alphas)

        return product


def _split(train: Objective, products: list[Tensor], alphas: Alphas) -> tuple[list[Tensor], dict[str, Tensor]]:
    averaged = train.averaged([p.detach() for p in products])
    count = len(averaged) - len(alphas)
    return averaged[:count], filled(alphas, averaged[count:])
