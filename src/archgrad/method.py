"""A method of architecture search as a composition of components."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.discretise import Strongest
from archgrad.errors import ArchgradError, is_number, require_not_negative, require_positive, require_whole, shown
from archgrad.genotype import Group
from archgrad.gradient import FirstOrder, Plain
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.relaxation import Softmax
from archgrad.roles import (
    ArchitectureGradient,
    Discretisation,
    Modifier,
    Regulariser,
    Relaxation,
    Schedule,
    WeightGradient,
)


@dataclass(frozen=True)
class WeightOptimiser:
    """SGD with momentum; the learning rate falls from ``lr`` to ``lr_min`` along a cosine over the epochs.

    ``clip``: largest common norm of the gradients before each step, None for no limit.
    """

    lr: float = 0.025
    lr_min: float = 0.001
    momentum: float = 0.9
    weight_decay: float = 3e-4
    nesterov: bool = False
    clip: float | None = 5.0

    def __post_init__(self) -> None:
        require_positive("WeightOptimiser", lr=self.lr, **({} if self.clip is None else {"clip": self.clip}))
        require_not_negative(
            "WeightOptimiser", lr_min=self.lr_min, momentum=self.momentum, weight_decay=self.weight_decay
        )
        if self.nesterov and not self.momentum:
            raise ArchgradError("WeightOptimiser: nesterov needs a momentum above 0")


@dataclass(frozen=True)
class AlphaOptimiser:
    """Adam with a constant learning rate, from alphas that are ``start``·N(0, 1).

    ``lr``: a number, or "auto": that of the method's published settings, raised in searches with fewer alpha steps so
    that alphas can travel as far (see `archgrad.alpha_lr.auto`). ``clip``: largest common norm of the gradients before
    each step, None for no limit.
    """

    lr: float | Literal["auto"] = 3e-4
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-3
    start: float = 1e-3
    clip: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.lr, str) and self.lr != "auto":
            raise ArchgradError(f"AlphaOptimiser: lr must be a number above 0 or 'auto', got {self.lr!r}")
        if self.lr != "auto":
            require_positive("AlphaOptimiser", lr=self.lr)
        if self.clip is not None:
            require_positive("AlphaOptimiser", clip=self.clip)
        require_not_negative("AlphaOptimiser", weight_decay=self.weight_decay, start=self.start)
        pair = isinstance(self.betas, tuple | list) and len(self.betas) == 2
        if not pair or not all(is_number(beta) and 0 <= beta < 1 for beta in self.betas):
            raise ArchgradError(f"AlphaOptimiser: betas must be two numbers in [0, 1), got {self.betas!r}")


ROLES: dict[str, type] = {
    "relaxation": Relaxation,
    "architecture_gradient": ArchitectureGradient,
    "weight_gradient": WeightGradient,
    "modifiers": Modifier,
    "regularisers": Regulariser,
    "schedules": Schedule,
    "discretisation": Discretisation,
}
SEVERAL = ("modifiers", "regularisers", "schedules")
"""The roles of which a method may have any number."""

_NO_ALPHAS = "its mixtures do not depend on alphas, so there is nothing to differentiate through; use Fixed"
REFUSED: dict[frozenset[str], str] = {
    frozenset({"RandomPath", "Unrolled"}): _NO_ALPHAS,
    frozenset({"RandomPath", "ImplicitGradient"}): _NO_ALPHAS,
}
"""Components that cannot work together, by name, and why."""


@dataclass(frozen=True)
class Method:
    """One component per role, the two optimisers, and the published length of the search.

    ``order``: which of the two steps on a pair of batches comes first. ``without``: candidates of the space, by name,
    that the search does not have: they get no weight and cannot win. Names that a space does not know do not matter.
    ``published_as``: the library's method whose published settings these were made from, whatever ``name`` says since.
    """

    name: str = "custom"
    relaxation: Relaxation = field(default_factory=Softmax)
    architecture_gradient: ArchitectureGradient = field(default_factory=FirstOrder)
    weight_gradient: WeightGradient = field(default_factory=Plain)
    modifiers: tuple[Modifier, ...] = ()
    regularisers: tuple[Regulariser, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    discretisation: Discretisation = field(default_factory=Strongest)
    weight_optimiser: WeightOptimiser = field(default_factory=WeightOptimiser)
    alpha_optimiser: AlphaOptimiser = field(default_factory=AlphaOptimiser)
    order: Literal["alphas-first", "weights-first"] = "alphas-first"
    epochs: int = 50
    batch_size: int = 64
    without: tuple[str, ...] = ()
    published_as: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for role, kind in ROLES.items():
            several = role in SEVERAL
            if several and isinstance(getattr(self, role), list):
                object.__setattr__(self, role, tuple(getattr(self, role)))
            if several and not isinstance(getattr(self, role), tuple):
                raise ArchgradError(
                    f"method {self.name!r}: {role} must be a tuple of {kind.__name__}, got {getattr(self, role)!r}"
                )
            for component in getattr(self, role) if several else [getattr(self, role)]:
                if not isinstance(component, kind):
                    wanted = f"of {kind.__name__}" if several else f"a {kind.__name__}"
                    raise ArchgradError(f"method {self.name!r}: {role} must be {wanted}, got {shown(component)}")
                if not dataclasses.is_dataclass(component):
                    raise ArchgradError(
                        f"method {self.name!r}: {type(component).__name__} must be a dataclass, "
                        "@dataclass(frozen=True), so that a run can record its settings"
                    )
        names = {type(part).__name__ for role in ROLES for part in _parts(getattr(self, role))}
        for pair, why in REFUSED.items():
            if pair <= names:
                raise ArchgradError(f"method {self.name!r}: {' and '.join(sorted(pair))} do not combine: {why}")
        if self.order not in ("alphas-first", "weights-first"):
            raise ArchgradError(
                f"method {self.name!r}: order must be 'alphas-first' or 'weights-first', got {self.order!r}"
            )
        without: Any = self.without
        if not (isinstance(without, tuple | list) and all(isinstance(name, str) for name in without)):
            raise ArchgradError(
                f"method {self.name!r}: without must be a tuple of names of candidates, got {without!r}"
            )
        object.__setattr__(self, "without", tuple(without))
        require_whole(f"method {self.name!r}", 0, epochs=self.epochs)
        require_whole(f"method {self.name!r}", 1, batch_size=self.batch_size)

    @property
    def needs(self) -> list[str]:
        """What its components need of a network of one's own that not every network has, in their words."""
        found = [getattr(part, "needs", "") for role in ROLES for part in _parts(getattr(self, role))]
        return [text for text in dict.fromkeys(found) if text]

    def mix(self, alphas: Alphas, context: Context) -> Mixture:
        """The mixture of this step, as relaxation and modifiers make it; the same for the same alphas."""
        assert context.supernet is not None
        of_groups = {group: alphas[group] for group in context.supernet.groups}
        mixture = self.relaxation(of_groups, context.supernet.sites, context)
        for modifier in self.modifiers:
            mixture = modifier.mix(mixture, alphas, context)
        return mixture

    def masks(self, groups: Mapping[str, Group]) -> dict[str, Tensor]:
        """Group → ``[edges, ops]`` on the host, True for the candidates that the method's search has.

        Raises ArchgradError where an edge would have none.
        """
        found = {}
        for name, group in groups.items():
            found[name] = group.mask & torch.tensor([op not in self.without for op in group.operations])
            if not bool(found[name].any(-1).all()):
                edge = int((~found[name].any(-1)).nonzero()[0])
                raise ArchgradError(
                    f"method {self.name!r}: without {', '.join(self.without)} nothing is left to choose on edge {edge} "
                    f"of {name!r}"
                )
        return found

    def objective(self, batch: tuple[Any, Any], context: Context, **options: Any) -> Objective:
        """The loss of a batch as this method sees it; ``options`` are further fields of `Objective`."""
        assert context.supernet is not None
        mix = partial(self.mix, context=context)
        return Objective(context.supernet, mix, batch, context, penalty=self.penalty, **options)

    def penalty(self, alphas: Alphas, mixture: Mixture, objective: Objective) -> Tensor | None:
        """The sum of the regularisers; None where there are none."""
        of_groups = {group: alphas[group] for group in objective.supernet.groups}
        terms = [rule(of_groups, mixture, objective.context, objective) for rule in self.regularisers]
        return torch.stack(terms).sum() if terms else None


def _parts(value: Any) -> list[Any]:
    """A component, or several, and all that they wrap."""
    parts = list(value) if isinstance(value, tuple) else [value]
    inner = [getattr(part, f.name) for part in parts for f in dataclasses.fields(part)]
    wrapped = [part for part in inner if isinstance(part, tuple(ROLES.values()))]
    return [*parts, *(p for part in wrapped for p in _parts(part))]


def describe(value: Any) -> Any:
    """A component, or anything made of components, as plain data that names its classes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        fields = {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": fields}
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    return value
