"""Regularisers: what is added to the loss of the alpha step."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.anneal import Anneal, value_at
from archgrad.context import Alphas, Clock, Context
from archgrad.devices import placed
from archgrad.mixture import Mixture
from archgrad.objective import Objective
from archgrad.roles.relaxation import masked


class Regulariser(ABC):
    """Adds weight · term to the loss of the alpha step; every regulariser has a field ``weight``."""

    weight: float | Anneal

    def __call__(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        """A differentiable scalar; a plain 0 where the weight is 0 and nothing need be computed."""
        weight = self.weight_at(context.clock)
        if weight == 0:
            return next(iter(alphas.values())).new_zeros(())
        return weight * self.term(alphas, mixture, context, objective)

    def weight_at(self, clock: Clock) -> float:
        """The weight now."""
        return value_at(self.weight, clock)

    @abstractmethod
    def term(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        """What the weight multiplies; ``objective``, for terms that need it, gives the batch's loss at any mixture."""


class OverEdges(Regulariser):
    """A regulariser of values that every edge has: the values are its formula."""

    @abstractmethod
    def values(
        self,
        alpha: Float[Tensor, "edges ops"],
        weights: Float[Tensor, "sites edges ops"],
        exists: Bool[Tensor, "edges ops"],
    ) -> Tensor:
        """The values of one group, of any shape.

        Candidates that do not exist or have been pruned have alphas of −∞ and weights of 0; ``exists``, on the host,
        tells them apart. Edges that have none left are left out.
        """

    def gathered(self, alphas: Alphas, mixture: Mixture, context: Context) -> Tensor:
        """The values of all groups in a row."""
        found = []
        for group, alpha in alphas.items():
            mask, weights = context.candidates(group), mixture[group]
            if mask is not None and not bool(mask.all()):
                alpha = masked(alpha, mask)
                if not bool(mask.any(-1).all()):
                    rows = mask.any(-1).nonzero()[:, 0]
                    mask, rows = mask[rows], placed(rows, alpha.device)
                    alpha, weights = alpha[rows], weights[:, rows]
            exists = torch.ones(alpha.shape, dtype=torch.bool) if mask is None else mask
            found.append(self.values(alpha, weights, exists).flatten())
        return torch.cat(found)


class MeanOverEdges(OverEdges):
    """The mean of the values over the edges of all groups."""

    def term(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        return self.gathered(alphas, mixture, context).mean()


class SumOverEdges(OverEdges):
    """The sum of the values over the edges of all groups."""

    def term(
        self, alphas: Alphas, mixture: Mixture, context: Context, objective: Objective | None = None
    ) -> Float[Tensor, ""]:
        return self.gathered(alphas, mixture, context).sum()
