"""Discretisations: alphas (and supernet) → genotype."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from jaxtyping import Bool
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Group, Kept
from archgrad.supernet import Supernet


class Score(ABC):
    """Tells how good a trained supernet is on validation data, higher is better."""

    @abstractmethod
    def __call__(self, genotype: Genotype) -> float:
        """At one genotype."""

    def masked(self, masks: Mapping[str, Tensor], shown: Mapping[str, Tensor] | None = None) -> float:
        """At its alphas, with only the candidates that the masks ``[edges, ops]`` leave open.

        ``shown``: groups of which only these candidates are computed, while all keep their weights.
        """
        raise ArchgradError(f"{type(self).__name__} cannot tell how good a mixture is")

    def tune(self, masks: Mapping[str, Tensor], epochs: int) -> None:
        """Train the weights for some epochs more, with only these candidates."""
        raise ArchgradError(f"{type(self).__name__} cannot train")


class Discretisation(ABC):
    """Settles the alphas."""

    @property
    def evaluates(self) -> bool:
        """Whether it needs a score, and is therefore asked once at the end and not after every epoch."""
        return False

    @abstractmethod
    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        """The genotype; ``score`` evaluates genotypes on validation data with the supernet's weights."""

    def supernet(self, context: Context) -> Supernet:
        """The supernet of the context, which every discretisation needs: it tells what there is to decide."""
        if context.supernet is None:
            raise ArchgradError(f"{type(self).__name__} needs a supernet in its context")
        return context.supernet


class Groupwise(Discretisation):
    """A discretisation that settles one group after the other by a formula."""

    @abstractmethod
    def kept(self, group: Group, alphas: Alphas, left: Bool[Tensor, "edges ops"]) -> Kept:
        """What stays of one group; ``left``, on the host: the candidates that exist and have not been pruned."""

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = self.supernet(context)
        choices = {}
        for name, group in supernet.groups.items():
            left = context.candidates(name)
            assert left is not None  # the supernet knows its groups
            choices[name] = self.kept(group, alphas, left)
        return Genotype.of(choices, supernet.space_name)
