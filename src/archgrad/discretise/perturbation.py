"""The discretisation of DARTS-PT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Group
from archgrad.roles import Discretisation, Score

T = TypeVar("T")


@dataclass(frozen=True)
class Perturbation(Discretisation):
    """What the supernet misses most stays: decisions are made one by one, each by the score without a candidate.

    First, edges in random order: of the candidates of an edge that one stays without which the supernet does worst on
    validation data, by the task's primary metric. Then, where nodes keep some of their edges only, nodes in random
    order: the edge without which the supernet does best goes, again and again, until as many are left as stay. The
    metric is that of the whole validation part. Between two decisions the supernet is tuned for ``tune`` epochs. Ties
    go to the larger α.

    *Source:* DARTS-PT, arXiv 2108.04392, algorithm 1 (5 epochs between decisions, at a tenth of the search's learning
    rate, which its program keeps constant). *Differs:* while a candidate
    is left out the weights of the others are normalised anew; cells of different kinds are not decided in pairs. A
    published library evaluated with running statistics, masked all edges the same way, skipped edges when it tuned for
    one epoch, and knew cells of four nodes only.
    """

    tune: int = 5

    def __post_init__(self) -> None:
        if self.tune < 0:
            raise ArchgradError(f"Perturbation: tune must be 0 or more epochs, got {self.tune}")

    @property
    def evaluates(self) -> bool:
        """Always."""
        return True

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = self.supernet(context)
        if score is None:
            raise ArchgradError("Perturbation needs a score: it evaluates the supernet")
        groups, generator = supernet.groups, context.generator("order")
        masks = {n: g.mask & context.masks[n] if n in context.masks else g.mask.clone() for n, g in groups.items()}

        edges = [_Edge(group, edge) for group in groups.values() for edge in range(len(group.edges))]
        nodes = [
            _Node(group, target) for group in groups.values() if group.keep is not None for target in group.incoming
        ]
        untuned = False
        decisions: list[_Edge | _Node] = [*_shuffled(edges, generator), *_shuffled(nodes, generator)]
        for decision in decisions:
            name = decision.group.name
            before = masks[name]
            worths = decision.worths(before, alphas[name].detach())
            if worths and untuned and self.tune:
                score.tune(masks, self.tune)
                untuned = False
            while worths:
                without = {
                    option: (score.masked({**masks, name: decision.without(masks[name], option)}), -worth)
                    for option, worth in worths.items()
                }
                masks[name] = decision.settled(masks[name], sorted(without, key=lambda option: without[option]))
                worths = decision.worths(masks[name], alphas[name].detach())
            if isinstance(decision, _Edge):
                masks[name] = decision.settled(masks[name], [])
            untuned |= not torch.equal(masks[name], before)
        choices = {
            name: [
                [op for op, stays in zip(group.operations, row, strict=True) if stays] for row in masks[name].tolist()
            ]
            for name, group in groups.items()
        }
        return Genotype.of(choices, supernet.space_name)


@dataclass(frozen=True)
class _Edge:
    """Which candidates of an edge stay."""

    group: Group
    edge: int

    def left(self, mask: Tensor) -> list[int]:
        """The columns of the candidates that may still stay."""
        names = self.group.selectable(self.edge)
        return [o for o, op in enumerate(self.group.operations) if op in names and bool(mask[self.edge, o])]

    def options(self, mask: Tensor) -> list[int]:
        """The same where there is something to decide, else nothing."""
        left = self.left(mask)
        return left if len(left) > self.group.select else []

    def worths(self, mask: Tensor, alpha: Tensor) -> dict[int, float]:
        """Option → what tells apart options without which the score is the same."""
        return {option: float(alpha[self.edge, option]) for option in self.options(mask)}

    def without(self, mask: Tensor, option: int) -> Tensor:
        """The mask while an option is left out."""
        mask = mask.clone()
        mask[self.edge, option] = False
        return mask

    def settled(self, mask: Tensor, order: list[int]) -> Tensor:
        """The mask that keeps the first options, or all where there was nothing to decide."""
        stay = order[: self.group.select] or self.left(mask)
        mask = mask.clone()
        mask[self.edge] = False
        mask[self.edge, stay] = True
        return mask


@dataclass(frozen=True)
class _Node:
    """Which edges into a node stay."""

    group: Group
    target: int

    def options(self, mask: Tensor) -> list[int]:
        """Its edges that have a candidate, where there are more than may stay."""
        left = [edge for edge in self.group.incoming[self.target] if bool(mask[edge].any())]
        return left if self.group.keep is not None and len(left) > self.group.keep else []

    def worths(self, mask: Tensor, alpha: Tensor) -> dict[int, float]:
        """Option → the largest α that is left on it."""
        return {edge: float(alpha[edge][mask[edge].to(alpha.device)].max()) for edge in self.options(mask)}

    def without(self, mask: Tensor, option: int) -> Tensor:
        """The mask while an edge is left out."""
        mask = mask.clone()
        mask[option] = False
        return mask

    def settled(self, mask: Tensor, order: list[int]) -> Tensor:
        """The mask without the last of them."""
        return self.without(mask, order[-1])


def _shuffled(decisions: list[T], generator: torch.Generator) -> list[T]:
    return [decisions[place] for place in torch.randperm(len(decisions), generator=generator).tolist()]
