"""What goes wrong in a search, as numbers: saturation, skip connections, curvature, disagreement of the cells.

All look at one batch and leave no trace. Names: ``measure/group``, or the measure alone where it is of the supernet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.derivatives import derivatives
from archgrad.engine.executor import forced
from archgrad.formulas.alignment import alignment
from archgrad.formulas.settling import strongest
from archgrad.genotype import Group, skips
from archgrad.mixture import Mixture
from archgrad.nested import any_nan, mapped
from archgrad.objective import Objective, filled, frozen, leaf, no_penalty
from archgrad.randomness import generator

LANCZOS = 10
"""Vectors that the iteration keeps; a Hessian of no more rows is computed whole."""
HessianProduct = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
FEW = 16
"""Inputs for the eigenvalue in `diagnose`: its graph, several times as large as that of a step, then needs no more."""


def diagnose(
    observe: Callable[[], Objective], alphas: Alphas, context: Context, eigenvalue: bool = True
) -> dict[str, float]:
    """All diagnostics at these alphas; ``observe`` makes an objective that only looks, of a fixed validation batch."""
    supernet = context.supernet
    assert supernet is not None
    objective = _bare(observe())
    gradients = objective.gradient(alphas)
    with torch.no_grad():
        mixture = objective.mix(alphas)
    genotype = strongest(supernet, alphas, context)
    values: dict[str, Tensor | float] = {}
    for name, group in supernet.groups.items():
        if name in objective.trace.site_gradients:
            values[f"alignment/{name}"] = alignment(objective.trace.site_gradients[name].flatten(1))
        values[f"gradient_norm/{name}"] = gradients[name].norm()
        values[f"saturation/{name}"] = saturation(mixture, group)
        values[f"entropy/{name}"] = entropy(mixture, group)
        values[f"skips/{name}"] = float(skips(genotype.choices[name]))
    values["discretisation_gap"] = quality(observe(), mixture) - quality(observe(), supernet.one_hot(genotype))
    if eigenvalue:
        values["eigenvalue"] = dominant_eigenvalue(_first(objective, FEW), alphas)
    return {name: float(value) for name, value in values.items()}


def saturation(mixture: Mixture, group: Group) -> Tensor:
    """The mean over sites and edges of the largest weight; 1 when all is decided."""
    largest: Tensor = _decided(mixture, group).amax(-1)
    return largest.mean()


def entropy(mixture: Mixture, group: Group) -> Tensor:
    """The mean over sites and edges of −Σ w log w, in nats."""
    sums: Tensor = torch.special.entr(_decided(mixture, group)).sum(-1)
    return sums.mean()


def _decided(mixture: Mixture, group: Group) -> Tensor:
    """The weights of the edges that have any, ``[n, ops]``."""
    rows = mixture[group.name].detach().flatten(0, 1)
    left = rows[(rows > 0).any(-1)]
    return left if len(left) else rows.new_zeros(1, rows.shape[-1])


def quality(objective: Objective, mixture: Mixture) -> float:
    """How well the supernet does on the batch at a mixture, with the statistics of the batch; higher is better.

    The share of the batch that it answers rightly, or minus the loss where answers are not right or wrong.
    """
    with torch.no_grad():
        loss = objective.loss(mixture)
        outputs, (_, y) = objective.trace.outputs, objective.batch
        if objective.task.correctness is None or outputs is None:
            return -float(objective.averaged([loss.double()])[0])
        share = objective.task.correct(outputs, y).double().mean()
        return float(objective.averaged([torch.where(any_nan(outputs), torch.nan, share)])[0])


def dominant_eigenvalue(
    objective: Objective,
    alphas: Alphas,
    *,
    exact: bool = True,
    epsilon: float = 5e-2,
    tolerance: float = 1e-2,
) -> float:
    """The largest eigenvalue of the Hessian of the loss in all alphas, regularisers left out; NaN if it is not finite.

    Lanczos iteration from a fixed start, to the relative ``tolerance``. Products with the Hessian come from one double
    backward (plain executor, which keeps its whole graph); with ``exact=False`` from
    [∇ℓ(α + ε v) − ∇ℓ(α − ε v)] / 2ε for ‖v‖ = 1: less memory, but the kinks of ReLUs within ε count as curvature, which
    no second derivative sees. The latter is also the way where something has no second derivative (samples of
    Dirichlet distributions). Relaxations that sample use the same numbers throughout.

    *Source:* the quantity is that of R-DARTS, arXiv 1909.09656, section 4.
    """
    objective = _bare(objective)
    names, shapes = list(alphas), [alpha.shape for alpha in alphas.values()]
    sizes = [alpha.numel() for alpha in alphas.values()]
    product = _products(objective, alphas, exact, epsilon)

    def along(v: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        parts = torch.split(torch.from_numpy(v).flatten(), sizes)
        moved = {n: part.view(shape).to(alphas[n]) for n, part, shape in zip(names, parts, shapes, strict=True)}
        found = product(moved)
        return torch.cat([found[name].detach().flatten().cpu().double() for name in names]).numpy()

    count = sum(sizes)
    start = torch.randn(count, generator=generator(0, "lanczos"), dtype=torch.float64).numpy()
    first = along(start / np.linalg.norm(start))
    if not np.isfinite(first).all():
        return math.nan
    if not first.any():  # no curvature at all, where ARPACK cannot start
        return 0.0
    if count <= LANCZOS:
        columns = np.stack([along(unit) for unit in np.eye(count)])
        return float(np.linalg.eigvalsh((columns + columns.T) / 2)[-1]) if np.isfinite(columns).all() else math.nan
    return _largest(along, start, tolerance)


def _largest(
    along: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], start: np.ndarray[Any, Any], tolerance: float
) -> float:
    """The largest eigenvalue of what multiplies a vector; NaN where products are not finite."""
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh  # costs half a second

    count = len(start)
    operator = LinearOperator((count, count), matvec=along, dtype=np.float64)
    values: np.ndarray[Any, Any]
    try:
        values = eigsh(operator, k=1, which="LA", v0=start, ncv=LANCZOS, tol=tolerance, return_eigenvectors=False)
    except ArpackNoConvergence as error:  # products by finite differences are not quite symmetric
        values = error.eigenvalues
    except (ArpackError, np.linalg.LinAlgError):  # products that are not finite
        return math.nan
    return float(values[-1]) if len(values) else math.nan


def _products(objective: Objective, alphas: Alphas, exact: bool, epsilon: float) -> HessianProduct:
    """What multiplies a vector by the Hessian."""
    if exact:
        try:
            product = _exact(objective, alphas)
            product({name: torch.ones_like(alpha) for name, alpha in alphas.items()})
            return product
        except RuntimeError:  # no second derivative, or no room for its graph
            pass
    return _finite_difference(objective, alphas, epsilon)


def _finite_difference(objective: Objective, alphas: Alphas, epsilon: float) -> HessianProduct:
    def product(v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        up, down = (
            objective.gradient({n: a.detach() + sign * epsilon * v[n] for n, a in alphas.items()}) for sign in (1, -1)
        )
        return {name: (up[name] - down[name]) / (2 * epsilon) for name in alphas}

    return product


def _exact(objective: Objective, alphas: Alphas) -> HessianProduct:
    leaves = leaf(alphas)
    with forced("plain"), frozen(objective.supernet):
        loss = objective.loss(objective.mix(leaves), precise=True)
        first = derivatives(loss, list(leaves.values()), create_graph=True)

    def product(v: Mapping[str, Tensor]) -> dict[str, Tensor]:
        along = torch.stack([(g * v[n]).sum() for n, g in zip(leaves, first, strict=True)]).sum()
        found = derivatives(along, list(leaves.values()), retain_graph=True)
        return filled(leaves, objective.averaged(found))

    return product


def _first(objective: Objective, count: int) -> Objective:
    """On the first inputs of the batch only."""
    x, y = (mapped(lambda whole: whole[:count], part) for part in objective.batch)
    return replace(objective, batch=(x, y))


def _bare(objective: Objective) -> Objective:
    """The loss alone, and as one that only looks."""
    return replace(objective.observer(), penalty=no_penalty)
