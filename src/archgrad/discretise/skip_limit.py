"""The discretisation of P-DARTS."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from archgrad.context import Alphas, Context
from archgrad.errors import ArchgradError
from archgrad.formulas.settling import settle, shares
from archgrad.genotype import Genotype, Group, Kept, is_skip
from archgrad.roles import Discretisation, Score


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
        supernet = self.supernet(context)
        limited = self.groups or (("normal",) if "normal" in supernet.groups else tuple(supernet.groups))
        if missing := [name for name in limited if name not in supernet.groups]:
            raise ArchgradError(f"SkipLimit: there is no group {missing[0]!r}; there are {sorted(supernet.groups)}")
        choices = {}
        for name, group in supernet.groups.items():
            left = context.candidates(name)
            assert left is not None  # the supernet knows its groups
            strength = shares(alphas[name], left)
            choices[name] = self._limited(group, strength, left) if name in limited else settle(group, strength, left)
        return Genotype.of(choices, supernet.space_name)

    def _limited(self, group: Group, strength: Float[Tensor, "edges ops"], left: Bool[Tensor, "edges ops"]) -> Kept:
        left, column = left.clone(), {op: number for number, op in enumerate(group.operations)}
        while True:
            kept = settle(group, strength, left)
            found = [(e, op) for e, names in enumerate(kept) for op in names if is_skip(op)]
            if len(found) <= self.limit:
                return kept
            others = {e: sum(bool(left[e, column[o]]) for o in group.selectable(e)) for e, _ in found}
            able = [(e, op) for e, op in found if group.keep is not None or others[e] > group.select]
            if not able:
                return kept
            edge, operation = min(able, key=lambda pair: float(strength[pair[0], column[pair[1]]]))
            left[edge, column[operation]] = False
