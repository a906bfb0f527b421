"""Candidates that are strong enough by themselves stay."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from archgrad.context import Alphas
from archgrad.errors import ArchgradError
from archgrad.formulas.settling import settle
from archgrad.genotype import Group, Kept
from archgrad.roles import Groupwise


@dataclass(frozen=True)
class Threshold(Groupwise):
    """Of the strongest candidates by σ(α), those with σ(α) ≥ ``threshold`` stay: a node may end with fewer inputs.

    Groups that keep every edge (NAS-Bench-201) have no smaller genotypes, and only take the strongest.

    *Source:* FairDARTS, arXiv 1911.12126, section 4.1 (0.85, at most two edges per node).
    *Differs:* one published library took the two strongest by softmax instead.
    """

    threshold: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ArchgradError(f"Threshold: the threshold must be in [0, 1), got {self.threshold}")

    def kept(self, group: Group, alphas: Alphas, left: Bool[Tensor, "edges ops"]) -> Kept:
        strength = alphas[group.name].detach().cpu().double().sigmoid()
        kept = settle(group, strength, left)
        if group.keep is None:
            return kept
        column = {op: number for number, op in enumerate(group.operations)}
        strong = strength >= self.threshold
        return tuple(tuple(op for op in names if strong[e, column[op]]) for e, names in enumerate(kept))
