"""The discretisation of DARTS-PT."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
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
    metric is that of the whole validation part; the weights of all else stay as they are while something is left out.
    One decision of every group (in DARTS, one of each kind of cell) makes a round, and between two rounds the supernet
    is tuned for ``tune`` epochs. Ties go to the larger α.

    *Source:* DARTS-PT, arXiv 2108.04392, algorithm 1, and its program: 5 epochs between rounds, at a tenth of the
    search's learning rate, which the program keeps constant. *Differs:* on NAS-Bench-201 the program tunes for 4 epochs
    before the last round. A published library evaluated with running statistics, masked all edges the same way, skipped
    edges when it tuned for one epoch, and knew cells of four nodes only.
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
        groups = supernet.groups
        masks = {n: g.mask & context.masks[n] if n in context.masks else g.mask.clone() for n, g in groups.items()}
        tuned = True
        for decisions in _rounds(groups, context.generator("order")):
            if not tuned and self.tune and any(decision.options(masks[decision.group.name]) for decision in decisions):
                score.tune(masks, self.tune)
                tuned = True
            for decision in decisions:
                name = decision.group.name
                before, masks[name] = masks[name], self._decided(decision, masks, alphas[decision.group.name], score)
                tuned &= torch.equal(masks[name], before)
        choices = {
            name: [
                [op for op, stays in zip(group.operations, row, strict=True) if stays] for row in masks[name].tolist()
            ]
            for name, group in groups.items()
        }
        return Genotype.of(choices, supernet.space_name)

    def _decided(self, decision: _Edge | _Node, masks: Mapping[str, Tensor], alpha: Tensor, score: Score) -> Tensor:
        """The mask of the decision's group once it is made."""
        name = decision.group.name
        mask = masks[name]
        while worths := decision.worths(mask, alpha.detach()):
            now = {**masks, name: mask}
            without = {
                option: (score.masked(now, {name: decision.without(mask, option)}), -worth)
                for option, worth in worths.items()
            }
            mask = decision.settled(mask, sorted(without, key=lambda option: without[option]))
        return decision.settled(mask, []) if isinstance(decision, _Edge) else mask


def _rounds(groups: Mapping[str, Group], generator: torch.Generator) -> list[list[_Edge | _Node]]:
    """First edges and then nodes, those of each group in random order; one of every group makes a round."""
    edges = [_shuffled([_Edge(group, e) for e in range(len(group.edges))], generator) for group in groups.values()]
    nodes = [
        _shuffled([_Node(group, t) for t, incoming in group.incoming.items() if len(incoming) > group.keep], generator)
        for group in groups.values()
        if group.keep is not None
    ]
    turns = [*itertools.zip_longest(*edges), *itertools.zip_longest(*nodes)]
    return [[decision for decision in turn if decision is not None] for turn in turns]


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
