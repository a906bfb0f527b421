"""The methods of the literature as compositions, one short function each."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points
from typing import Any

from archgrad.discretise import BestOfRandom
from archgrad.errors import ArchgradError, unknown
from archgrad.gradient import FirstOrder, Fixed, Unrolled
from archgrad.method import AlphaOptimiser, Method
from archgrad.relaxation import RandomPath, Softmax


def darts(space: str = "darts") -> Method:
    """DARTS, first order: softmax mixture, alternating steps on two halves of the training set.

    *Source:* arXiv 1806.09055: 97.00 ± 0.14 % on CIFAR-10; NAS-Bench-201 (arXiv 2001.00326): 54.30 %.
    """
    alphas = AlphaOptimiser(lr=1e-4) if space == "nasbench201" else AlphaOptimiser()
    order = "weights-first" if space == "nasbench201" else "alphas-first"
    return Method("darts", Softmax(), FirstOrder(), alpha_optimiser=alphas, order=order)


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


METHODS: dict[str, Callable[..., Method]] = {
    "darts": darts,
    "darts_second_order": darts_second_order,
    "random_search": random_search,
    "random_genotype": random_genotype,
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
