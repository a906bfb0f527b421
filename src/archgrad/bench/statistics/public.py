"""All that `archgrad.bench.statistics` has."""

from archgrad.bench.statistics.aggregate import Aggregate, aggregates, normalised
from archgrad.bench.statistics.agreement import Agreement, between_benchmarks, between_settings, bonett_wright, tau
from archgrad.bench.statistics.analysis import Analysis, analyse
from archgrad.bench.statistics.bootstrap import Bootstrap
from archgrad.bench.statistics.cube import Cube
from archgrad.bench.statistics.pairwise import Pair, holm, pairs, smallest_p, stratified_welch, wilcoxon
from archgrad.bench.statistics.power_analysis import TopTwo, needed, power, top_two
from archgrad.bench.statistics.ranks import Friedman, Ranks, average_ranks, critical_difference, friedman, nemenyi, rank
from archgrad.bench.statistics.variation import COMPONENTS, Spread, best_settings, components, spread

__all__ = [
    "COMPONENTS",
    "Aggregate",
    "Agreement",
    "Analysis",
    "Bootstrap",
    "Cube",
    "Friedman",
    "Pair",
    "Ranks",
    "Spread",
    "TopTwo",
    "aggregates",
    "analyse",
    "average_ranks",
    "best_settings",
    "between_benchmarks",
    "between_settings",
    "bonett_wright",
    "components",
    "critical_difference",
    "friedman",
    "holm",
    "needed",
    "nemenyi",
    "normalised",
    "pairs",
    "power",
    "rank",
    "smallest_p",
    "spread",
    "stratified_welch",
    "tau",
    "top_two",
    "wilcoxon",
]
