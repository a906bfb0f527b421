"""Where what searches found stands among random networks that were trained the same way: is it better than chance?"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

LEVEL = 0.05
"""A p-value up to this is called better than chance."""
RESAMPLES = 100_000
"""Ways to divide the networks up to which all are looked at; where there are more, so many are drawn."""


@dataclass(frozen=True)
class Standing:
    """Scores of the networks that searches found (at least one), and of random ones (at least one).

    >>> Standing((0.85, 0.86, 0.9), (0.8, 0.79, 0.86, 0.78, 0.7)).superiority  # 4, 4½ and 5 of 5
    0.9
    """

    found: tuple[float, ...]
    random: tuple[float, ...]
    higher_is_better: bool = True

    @property
    def found_mean(self) -> float:
        """Mean of the found networks."""
        return statistics.fmean(self.found)

    @property
    def mean(self) -> float:
        """Mean of the random networks."""
        return statistics.fmean(self.random)

    @property
    def std(self) -> float | None:
        """Sample standard deviation (n − 1) of the random networks; None for a single one."""
        return statistics.stdev(self.random) if len(self.random) > 1 else None

    @property
    def best(self) -> float:
        """The best random network."""
        return max(self.random) if self.higher_is_better else min(self.random)

    def better(self, score: float) -> int:
        """How many random networks are better than this score."""
        return sum(other > score if self.higher_is_better else other < score for other in self.random)

    def rank(self, score: float) -> int:
        """That of a score among the random ones, 1 for the best; equal scores share the better rank."""
        return 1 + self.better(score)

    def percentile(self, score: float) -> float:
        """Share of the random networks that a score beats, in percent; a tie counts half."""
        ties = sum(other == score for other in self.random)
        return 100 * (1 - (self.better(score) + 0.5 * ties) / len(self.random))

    @property
    def superiority(self) -> float:
        """The effect size: in what share of the pairs of a found and a random network the found one is better.

        P(found > random) + ½ P(found = random); 0.5 is no effect.

        *Source:* Vargha and Delaney, A Critique and Improvement of the CL Common Language Effect Size Statistics of
        McGraw and Wong, Journal of Educational and Behavioral Statistics 25, 2000.
        """
        return statistics.fmean(self.percentile(score) / 100 for score in self.found)

    @cached_property
    def p_value(self) -> float:
        """How often the found networks would be as far above the random ones in the mean if all were of one kind.

        A one-sided permutation test of the difference of the means over all ways to divide the networks, or over
        100,000 drawn ones where there are more.

        *Source:* Ernst, Permutation Methods: A Basis for Exact Inference, Statistical Science 19, 2004.
        """
        sign = 1 if self.higher_is_better else -1
        whole = sign * np.array([*self.found, *self.random])
        count, chosen = len(whole), len(self.found)
        if math.comb(count, chosen) <= RESAMPLES:
            divisions = np.array(list(itertools.combinations(range(count), chosen)))
            extra = 0
        else:
            keys = np.random.default_rng(0).random((RESAMPLES, count))
            divisions = np.argpartition(keys, chosen - 1)[:, :chosen]
            extra = 1  # the division that was observed is one of those looked at
        # With the sum over all fixed, the sum over the found networks orders divisions like the difference of means.
        sums, observed = whole[divisions].sum(1), whole[:chosen].sum()
        extreme = int((sums >= observed - 1e-9 * np.abs(whole).sum()).sum())
        return (extreme + extra) / (len(divisions) + extra)

    @property
    def smallest_p(self) -> float:
        """The p-value if every found network were better than every random one."""
        return 1 / math.comb(len(self.found) + len(self.random), len(self.found))

    def verdict(self, label: str, shown: Callable[[float], str]) -> str:
        """What the scores say of the search, in one sentence or two; ``shown`` writes a score, ``label`` names it."""
        many, telling = len(self.found) > 1, self.smallest_p <= LEVEL
        verdict = ("Better" if self.p_value <= LEVEL else "Not better") + " than chance"
        subject = f"{len(self.found)} found networks have a mean" if many else "the found network has a"
        others = f"{len(self.random)} random networks, trained the same way, have a mean of {shown(self.mean)}"
        if len(self.random) == 1:
            others = f"one random network, trained the same way, has {shown(self.mean)}"
        text = (
            f"{verdict if telling else 'Too few searches to be told from chance'}: {subject} {label} of "
            f"{shown(self.found_mean)}, {others} (permutation test p = {_written(self.p_value)}; "
            f"effect size {self.superiority:.2f}, where 0.5 is none)."
        )
        return text if telling else text + f" With so few p cannot be below {_written(self.smallest_p)}."


def _written(p: float) -> str:
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"
