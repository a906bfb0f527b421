"""Candidates that are strong enough by themselves stay."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.components import Alphas, Context, Discretisation, Score
from archgrad.discretise.strongest import settle
from archgrad.errors import ArchgradError
from archgrad.genotype import Genotype, Kept


@dataclass(frozen=True)
class Threshold(Discretisation):
    """Of the strongest candidates by σ(α), those with σ(α) ≥ ``threshold`` stay: a node may end with fewer inputs.

    Groups that keep every edge (NAS-Bench-201) have no smaller genotypes, and only take the strongest.

    *Source:* FairDARTS, arXiv 1911.12126, section 4.1 (0.85, at most two edges per node).
    *Differs:* one published library took the two strongest by softmax instead.
    """

    threshold: float = 0.85

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise ArchgradError(f"Threshold: the threshold must be in [0, 1), got {self.threshold}")

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        supernet = context.supernet
        if supernet is None:
            raise ArchgradError("Threshold needs a supernet in its context")
        choices = dict[str, Kept]()
        for name, group in supernet.groups.items():
            left = group.mask & context.masks[name] if name in context.masks else group.mask
            strength = alphas[name].detach().cpu().double().sigmoid()
            kept = settle(group, strength, left)
            if group.keep is not None:
                column = {op: number for number, op in enumerate(group.operations)}
                strong = strength >= self.threshold
                kept = tuple(tuple(op for op in names if strong[e, column[op]]) for e, names in enumerate(kept))
            choices[name] = kept
        return Genotype.of(choices, supernet.space.name if supernet.space else "")
