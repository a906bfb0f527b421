"""The methods of the literature as compositions, one short function each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from archgrad.discretise import BestOfRandom, Threshold
from archgrad.errors import ArchgradError, unknown
from archgrad.gradient import Fixed, FlatMinima, LayerAlignment, SingleLevel, Unrolled
from archgrad.method import AlphaOptimiser, Method
from archgrad.regularisers import BetaDecay, ZeroOne
from archgrad.relaxation import (
    GumbelSoftmax,
    RandomPath,
    ReinMax,
    Sigmoid,
    StraightThroughGumbel,
)


def darts(space: str = "darts") -> Method:
    """DARTS, first order: softmax mixture, alternating steps on two halves of the training set.

    *Source:* arXiv 1806.09055: 97.00 ± 0.14 % on CIFAR-10; NAS-Bench-201 (arXiv 2001.00326): 54.30 %.
    """
    if space == "nasbench201":
        return Method("darts", alpha_optimiser=AlphaOptimiser(lr=1e-4), order="weights-first")
    return Method("darts")


def darts_second_order(space: str = "darts", exact: bool = False) -> Method:
    """DARTS, second order: the gradient of alphas looks through one step of the weights.

    *Source:* arXiv 1806.09055: 97.24 ± 0.09 % on CIFAR-10.
    """
    gradient = Unrolled(second_order="exact" if exact else "finite-difference")
    return replace(darts(space), name="darts_second_order", architecture_gradient=gradient)


def random_search(space: str = "darts", candidates: int = 100) -> Method:
    """Random search with weight sharing, at the budget of a search: every step trains the supernet's weights on the
    path of one genotype drawn uniformly; at the end the best of ``candidates`` drawn genotypes by validation accuracy
    with those weights is kept. No genotype is trained by itself and no proxy is used.

    *Source:* Li and Talwalkar, arXiv 1902.07638: 97.15 ± 0.08 % on CIFAR-10 (DARTS space).
    """
    return replace(
        darts(space),
        name="random_search",
        relaxation=RandomPath(),
        architecture_gradient=Fixed(),
        discretisation=BestOfRandom(candidates),
    )


def random_genotype(space: str = "darts") -> Method:
    """The honest floor: a genotype drawn uniformly, nothing is trained."""
    return replace(random_search(space, candidates=1), name="random_genotype", epochs=0)


def single_level(space: str = "darts") -> Method:
    """DARTS with one loss: alphas and weights are both trained on the training batch.

    *Source:* arXiv 1806.09055, section 3.3: 96.44 ± 0.10 % on CIFAR-10.
    """
    return replace(darts(space), name="single_level", architecture_gradient=SingleLevel())


def snas(space: str = "darts") -> Method:
    """SNAS: Gumbel-softmax mixtures whose temperature falls from 1 to 0.33, alphas and weights on one loss.

    *Source:* arXiv 1812.09926: 97.15 ± 0.02 % on CIFAR-10; 150 epochs.
    """
    return replace(single_level(space), name="snas", relaxation=GumbelSoftmax(), epochs=150)


def gdas(space: str = "darts") -> Method:
    """GDAS: one sampled operation per edge and step, the temperature falling from 10 to 0.1.

    *Source:* arXiv 1910.04465: 97.07 % on CIFAR-10; NAS-Bench-201 (arXiv 2001.00326): 93.51 ± 0.13 %; 250 epochs.
    """
    return replace(darts(space), name="gdas", relaxation=StraightThroughGumbel(), epochs=250)


def reinmax(space: str = "darts") -> Method:
    """GDAS' sampled operations with ReinMax' second-order gradient of the sample.

    *Source:* the estimator is arXiv 2304.08612, which does not report a search; settings as `gdas`.
    """
    return replace(gdas(space), name="reinmax", relaxation=ReinMax())


def fair_darts(space: str = "darts") -> Method:
    """FairDARTS: independent sigmoids that a regulariser pushes to 0 or 1, settled by a threshold.

    *Source:* arXiv 1911.12126: 97.46 % on CIFAR-10 (FairDARTS-a).
    """
    return replace(
        darts(space),
        name="fair_darts",
        relaxation=Sigmoid(),
        regularisers=(ZeroOne(),),
        discretisation=Threshold(),
    )


def beta_darts(space: str = "darts") -> Method:
    """β-DARTS: the softmax' log-sum is held down more and more, so that the weights stay close to each other.

    *Source:* arXiv 2203.01665: 97.47 ± 0.08 % on CIFAR-10; NAS-Bench-201: 94.36 %.
    """
    return replace(darts(space), name="beta_darts", regularisers=(BetaDecay(),))


def lambda_darts(space: str = "darts") -> Method:
    """Λ-DARTS: the weights are regularised so that the cells agree on the gradient of the mixture.

    *Source:* arXiv 2210.07998: 97.48 ± 0.11 % on CIFAR-10; in DARTS spaces normal cells only, without ``none``; 100
    epochs on NAS-Bench-201.
    """
    groups = ("normal",) if space.startswith("darts") else None
    base = darts(space)
    epochs = 100 if space == "nasbench201" else base.epochs
    return replace(base, name="lambda_darts", weight_gradient=LayerAlignment(groups=groups), epochs=epochs)


def a2m(space: str = "darts", base: str | Method = "darts", rho: float | None = None) -> Method:
    """A²M: any method with its gradient of alphas replaced by that of the loss after one step up (flat minima).

    ``rho``: length of that step; 1e-2 on NAS-Bench-201 and 1e-1 elsewhere by default, as published.

    *Source:* arXiv 2503.10404: 97.27 % on CIFAR-10 (mean of five seeds, DARTS 97.10 %); NAS-Bench-201: 92.39 ± 0.59 %.
    """
    method = get(base, space) if isinstance(base, str) else base
    rho = (1e-2 if space == "nasbench201" else 1e-1) if rho is None else rho
    gradient = FlatMinima(rho, base=method.architecture_gradient)
    return replace(method, name=f"a2m({method.name})", architecture_gradient=gradient)


METHODS: dict[str, Callable[..., Method]] = {
    function.__name__: function
    for function in (
        darts,
        darts_second_order,
        single_level,
        snas,
        gdas,
        reinmax,
        fair_darts,
        beta_darts,
        lambda_darts,
        a2m,
        random_search,
        random_genotype,
    )
}

ENTRY_POINTS = "archgrad.methods"
"""Packages may add methods under this entry-point group: a function that returns a `Method`."""


def names() -> list[str]:
    """The methods of the library and of installed plug-ins."""
    return [*METHODS, *(entry.name for entry in entry_points(group=ENTRY_POINTS))]


def get(name: str, space: str = "darts", **options: Any) -> Method:
    """The method of that name with its published settings for a space."""
    plugins = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if name not in METHODS and name not in plugins:
        raise unknown("method", name, [*METHODS, *plugins])
    function = METHODS[name] if name in METHODS else plugins[name].load()
    known = inspect.signature(function).parameters
    if "space" in known:
        options["space"] = space
    if extra := set(options) - set(known):
        raise ArchgradError(f"method {name!r} has no option {sorted(extra)[0]!r}; it has {sorted(known)}")
    method: Method = function(**options)
    return method
