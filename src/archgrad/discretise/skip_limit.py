"""The discretisation of P-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from archgrad.components import Alphas, Context, Discretisation, Score
from archgrad.discretise.strongest import settle
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Kept

SKIPS = ("skip", "identity")


@dataclass(frozen=True)
class SkipLimit(Discretisation):
    """As `Strongest`, with at most ``limit`` skip connections per cell.

    While a cell has more, the weakest skip connection of those kept is forbidden and the cell settled anew; one that is
    the last candidate of an edge that has to stay is left. ``groups``: whose; by default ``normal`` where there is such
    a group, else all.

    *Source:* P-DARTS, arXiv 1904.12760, section 3.3.2 (at most two, normal cells only).
    """

    limit: int = 2
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ArchgradError(f"SkipLimit: the limit must be 0 or more, got {self.limit}")

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = context.supernet
        if supernet is None:
            raise ArchgradError("SkipLimit needs a supernet in its context")
        limited = self.groups or (("normal",) if "normal" in supernet.groups else tuple(supernet.groups))
        if missing := [name for name in limited if name not in supernet.groups]:
            raise ArchgradError(f"SkipLimit: there is no group {missing[0]!r}; there are {sorted(supernet.groups)}")
        choices = {}
        for name, group in supernet.groups.items():
            left = group.mask & context.masks[name] if name in context.masks else group.mask.clone()
            strength = alphas[name].detach().cpu().double().masked_fill(~left, -torch.inf).softmax(-1)
            kept = settle(group, strength, left)
            while name in limited:
                found = [(e, op) for e, names in enumerate(kept) for op in names if is_skip(op)]
                if len(found) <= self.limit:
                    break
                column = {op: number for number, op in enumerate(group.operations)}
                open_ = {e: sum(bool(left[e, column[o]]) for o in group.selectable(e)) for e, _ in found}
                able = [(e, op) for e, op in found if group.keep is not None or open_[e] > group.select]
                if not able:
                    break
                edge, operation = min(able, key=lambda pair: float(strength[pair[0], column[pair[1]]]))
                left[edge, column[operation]] = False
                kept = settle(group, strength, left)
            choices[name] = kept
        return Genotype.of(choices, supernet.space.name if supernet.space else "")


def is_skip(operation: str) -> bool:
    """Whether a candidate of that name is a skip connection."""
    return operation.lower().startswith(SKIPS)


def skips(kept: Kept) -> int:
    """The number of skip connections that a settled group keeps."""
    return sum(is_skip(operation) for names in kept for operation in names)
