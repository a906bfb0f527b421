"""Genotypes by chance: the baselines."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.context import Alphas, Context
from archgrad.errors import require_positive
from archgrad.genotype import Genotype
from archgrad.roles import Discretisation, Score


@dataclass(frozen=True)
class BestOfRandom(Discretisation):
    """The best of ``candidates`` genotypes drawn uniformly, by validation score with the supernet's weights.

    Pruned candidates, and those that the method goes without, are not drawn. One candidate is a genotype drawn at
    random, and nothing is evaluated.

    *Source:* Li and Talwalkar, arXiv 1902.07638.
    """

    candidates: int = 100

    def __post_init__(self) -> None:
        require_positive("BestOfRandom", candidates=self.candidates)

    @property
    def evaluates(self) -> bool:
        """Only a choice among several needs a score."""
        return self.candidates > 1

    def __call__(self, alphas: Alphas, context: Context, score: Score | None = None) -> Genotype:
        self.supernet(context)
        generator = context.generator("candidates")
        drawn = [context.random(generator) for _ in range(self.candidates)]
        return drawn[0] if score is None or self.candidates == 1 else max(drawn, key=score)
