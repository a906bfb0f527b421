"""The architecture gradient of A²M: towards alphas whose neighbourhood is good as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.engine.executor import forced
from archgrad.errors import ArchgradError, require_positive
from archgrad.gradient.first_order import FirstOrder
from archgrad.objective import Objective, frozen, leaf
from archgrad.roles import ArchitectureGradient

SecondOrder = Literal["exact", "finite-difference", "none"]
Centre = Literal["alpha", "ascent"]
Point = list[Tensor]


def flat_gradient(
    loss: Callable[[Tensor], Tensor],
    alpha: Tensor,
    *,
    rho: float,
    second_order: SecondOrder = "exact",
    epsilon: float = 1e-2,
    centre: Centre = "ascent",
    normalise: bool = False,
) -> Tensor:
    """∇F(α) of F(α) = ℓ(α + ρ ∇ℓ(α)), for any differentiable ``loss``; the shape is that of ``alpha``.

    = v + ρ H(α) v with v = ∇ℓ(α + ρ ∇ℓ(α)), exactly unless told otherwise; see `FlatMinima` for the options.

    >>> import torch
    >>> found = flat_gradient(lambda a: (a**4).sum() / 4, torch.ones((), dtype=torch.float64), rho=0.1)
    >>> round(found.item(), 12)  # (1 + ρ)³ (1 + 3ρ)
    1.7303
    """

    def gradient(point: Point) -> Point:
        at = point[0].detach().requires_grad_()
        return [torch.autograd.grad(loss(at), at)[0]]

    def product(point: Point, direction: Point) -> Point:
        at = point[0].detach().requires_grad_()
        (first,) = derivatives(loss(at), [at], create_graph=True)
        return derivatives((first * direction[0]).sum(), [at])

    rule = FlatMinima(rho, second_order=second_order, epsilon=epsilon, centre=centre, normalise=normalise)
    (flat,) = rule.compute(gradient, product, [alpha.detach()])
    return flat


@dataclass(frozen=True)
class FlatMinima(ArchitectureGradient):
    """∇F of F(α) = ℓ(α + ρ g(α)), g = ∇ℓ: one step up, not normalised, and then down from there.

    ∇F = v + ρ H v, v = g(α + ρ g(α)), H the Hessian in α. H v is computed

    * ``second_order="finite-difference"``: [g(c + ε v) − g(c − ε v)] / 2ε around ``centre`` c, the ascent point
      (``"ascent"``), as published, or α itself (``"alpha"``), which is ∇F: four gradients of ``base`` in all;
    * ``"exact"``: by double backward, for the base `FirstOrder`; memory grows with the whole graph of the supernet;
    * ``"none"``: left out.

    ``normalise``: the ascent step is ρ g/‖g‖ as in SAM; H then acts on (v − ĝ ĝ·v)/‖g‖ with ĝ = g/‖g‖.
    ``base``: any architecture gradient.

    *Source:* A²M, arXiv 2503.10404, equations 4 to 7; ρ = 1e-2 for NAS-Bench-201, 1e-1 for the DARTS space, ε = 1e-2.
    *Differs:* by default from the formula: the published numbers are of the released code, which centres at the
    ascent point. For ℓ = α⁴/4 at 1 that is 0.06 % more than ∇F at ρ = 0.01, and 5 % at 0.1.
    """

    rho: float = 1e-2
    second_order: SecondOrder = "finite-difference"
    epsilon: float = 1e-2
    centre: Centre = "ascent"
    normalise: bool = False
    base: ArchitectureGradient = field(default_factory=FirstOrder)

    def __post_init__(self) -> None:
        require_positive("FlatMinima", epsilon=self.epsilon)
        if self.rho < 0:
            raise ArchgradError(f"FlatMinima: rho must not be negative, got {self.rho}")
        if self.second_order not in ("exact", "finite-difference", "none"):
            raise ArchgradError(
                f"FlatMinima: second_order must be 'exact', 'finite-difference' or 'none', got {self.second_order!r}"
            )
        if self.centre not in ("alpha", "ascent"):
            raise ArchgradError(f"FlatMinima: centre must be 'alpha' or 'ascent', got {self.centre!r}")
        if self.second_order == "exact" and not isinstance(self.base, FirstOrder):
            raise ArchgradError(
                f"FlatMinima: second_order='exact' needs the base FirstOrder, not {type(self.base).__name__}: "
                "use 'finite-difference'"
            )

    def __call__(self, objective: Objective, alphas: Alphas, context: Context) -> dict[str, Tensor] | None:
        groups = list(alphas)

        def gradient(point: Point) -> Point | None:
            found = self.base(objective, dict(zip(groups, point, strict=True)), context.within("base"))
            return None if found is None else [found[group] for group in groups]

        def product(point: Point, direction: Point) -> Point:
            leaves = leaf(dict(zip(groups, point, strict=True)))
            with forced("plain"), frozen(objective.supernet):
                first = derivatives(objective(leaves), list(leaves.values()), create_graph=True)
                along = torch.stack([(g * d).sum() for g, d in zip(first, direction, strict=True)]).sum()
                return objective.averaged(derivatives(along, list(leaves.values())))

        start = [alphas[group].detach() for group in groups]
        first = gradient(start)
        if first is None:
            return None
        result = self.compute(gradient, product, start, first)  # type: ignore[arg-type]  # the base does not change its mind
        return dict(zip(groups, result, strict=True))

    def compute(
        self,
        gradient: Callable[[Point], Point],
        product: Callable[[Point, Point], Point],
        alpha: Point,
        first: Point | None = None,
    ) -> Point:
        """∇F from a gradient and a Hessian-vector product, over a list of tensors taken as one vector."""
        first = gradient(alpha) if first is None else first
        if self.rho == 0:
            return first
        size = _norm(first).clamp_min(torch.finfo(first[0].dtype).tiny)
        step = [g / size for g in first] if self.normalise else first
        ascent = _plus(alpha, self.rho, step)
        v = gradient(ascent)
        if self.second_order == "none":
            return v
        direction = v
        if self.normalise:
            along = torch.stack([(s * d).sum() for s, d in zip(step, v, strict=True)]).sum()
            direction = [(d - along * s) / size for s, d in zip(step, v, strict=True)]
        if self.second_order == "exact":
            curved = product(alpha, direction)
        else:
            centre = alpha if self.centre == "alpha" else ascent
            up, down = (gradient(_plus(centre, sign * self.epsilon, direction)) for sign in (1, -1))
            curved = [(a - b) / (2 * self.epsilon) for a, b in zip(up, down, strict=True)]
        return _plus(v, self.rho, curved)


def _plus(a: Sequence[Tensor], factor: float, b: Sequence[Tensor]) -> Point:
    return [x + factor * y for x, y in zip(a, b, strict=True)]


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    size: Tensor = torch.stack([t.norm() for t in tensors]).norm()
    return size
