"""What the results allow to conclude, and what they do not: the sentences at the head of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from archgrad.bench.report.wording import (
    blocks_text,
    number_text,
    points_text,
    range_text,
    score_text,
    setting_text,
    span_text,
)
from archgrad.bench.statistics.agreement import Agreement
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import listed
from archgrad.bench.statistics.pairwise import Pair
from archgrad.bench.statistics.power_analysis import TopTwo
from archgrad.bench.statistics.results import BASELINES


def conclusions(analysis: Analysis) -> list[str]:
    """Each with its test; what cannot be concluded is said as well."""
    cube, result = analysis.cube, list[str]()
    if len(cube.methods) < 2:
        return ["There is a single method: nothing is compared."]
    result += _on_these_benchmarks(analysis)
    result.append(_on_others(analysis))
    if (reversed_ := _reversal(analysis.benchmarks)) is not None:
        result.append(reversed_)
    if len(cube.settings) > 1 and len(cube.benchmarks) > 0:
        result += _of_settings(analysis)
    if analysis.power:
        result.append(_of_power(analysis, analysis.power[0]))
    return result


def _on_these_benchmarks(analysis: Analysis) -> list[str]:
    """Whether methods differ by more than the noise of what was repeated."""
    of, replicates = len(analysis.pairs), analysis.cube.replicates
    unknown = sum(math.isnan(pair.p_searches) for pair in analysis.pairs)
    result = []
    if unknown < of:
        found = [pair for pair in analysis.pairs if pair.p_searches < analysis.alpha]
        result.append(
            f"On these benchmarks, with the noise of {replicates} taken into account, {len(found)} of "
            f"{of - unknown} pairs of methods differ (stratified Welch test, Holm, {analysis.alpha:g})"
            f"{_pairs_listed(found)}."
        )
        against = [_against(analysis, baseline) for baseline in BASELINES if baseline in analysis.cube.methods]
        result += [sentence for sentence in against if sentence is not None]
    if unknown:
        result.append(
            f"Whether a difference is more than the noise of {replicates} cannot be told for {unknown} of {of} "
            "pairs: they lack repetitions, or all repetitions are equal."
        )
    return result


def _on_others(analysis: Analysis) -> str:
    """Whether methods would differ on other benchmarks of this kind."""
    found = [pair for pair in analysis.pairs if pair.p_benchmarks < analysis.alpha]
    text = (
        f"Whether it would hold on other benchmarks: {len(found)} of {len(analysis.pairs)} pairs differ (Wilcoxon over "
        f"{blocks_text(analysis)}, Holm, {analysis.alpha:g}){_pairs_listed(found)}."
    )
    if analysis.smallest_p >= analysis.alpha:
        text += (
            " With so few benchmarks this test could not have shown any difference: its smallest corrected p is "
            f"{analysis.smallest_p:.3f}."
        )
    return text


def _of_settings(analysis: Analysis) -> list[str]:
    """How much the training setting matters, and which one is best."""
    spread, benchmarks = analysis.spread, len(analysis.cube.benchmarks)
    larger = int((spread.setting_deviation > spread.method_deviation).sum())
    most = float(analysis.best_settings.max())
    best = [setting_text(analysis, analysis.cube.settings[h]) for h in np.flatnonzero(analysis.best_settings == most)]
    start = f"Setting {best[0]} is" if len(best) == 1 else f"Settings {listed(best)} are each"
    by_setting = span_text(analysis, spread.setting_deviation) + points_text(analysis)
    by_method = span_text(analysis, spread.method_deviation)
    return [
        f"On {larger} of {benchmarks} benchmarks the training setting matters more than the method "
        f"(deviation of the settings' means {by_setting}, of the methods' means {by_method}).",
        f"{start} the best one in {number_text(most)} of {analysis.best_of} cases.",
    ]


def _pairs_listed(found: Sequence[Pair]) -> str:
    if not found:
        return ""
    names = [f"{p.first} > {p.second}" if p.difference > 0 else f"{p.second} > {p.first}" for p in found]
    return f": {listed(names)}"


def _against(analysis: Analysis, baseline: str) -> str | None:
    """What a search is worth: which methods are told apart from a random baseline, and in which direction."""
    better: list[str] = []
    worse: list[str] = []
    of = unknown = 0
    for pair in analysis.pairs:
        first, second, difference = pair.first, pair.second, pair.difference
        if first == baseline:
            first, second, difference = second, first, -difference
        if second != baseline or first in BASELINES:
            continue
        of += 1
        unknown += math.isnan(pair.p_searches)
        if pair.p_searches < analysis.alpha:
            (better if difference > 0 else worse).append(first)
    if unknown == of:
        return None
    told = [f"{len(names)} {word} ({listed(names)})" for word, names in (("better", better), ("worse", worse)) if names]
    rest = of - len(better) - len(worse) - unknown
    if rest:
        told.append(f"{rest} not told apart from it")
    if unknown:
        told.append(f"{unknown} unknown")
    return f"Of {of} methods, compared with {baseline}: {', '.join(told)}."


def _reversal(found: Agreement) -> str | None:
    extremes = found.extremes
    if extremes is None or len(found.names) < 2:
        return None
    (i, j), _ = extremes
    negative = int((found.tau[np.triu_indices(len(found.names), 1)] < 0).sum())
    of = len(found.names) * (len(found.names) - 1) // 2
    text = (
        f"Two benchmarks agree on the ranking with τ = {found.average:.2f} on average; the two that agree least are "
        f"{found.names[i]} and {found.names[j]} "
        f"(τ {found.tau[i, j]:.2f}{range_text(found.low[i, j], found.high[i, j])}), "
        f"and {negative} of {of} pairs of benchmarks have more pairs of methods in opposite order than in the same one."
    )
    same, different, if_same = found.half_averages
    if not math.isnan(same) and not math.isnan(different):
        text += (
            f" How much of it is noise: with half of the searches each, a benchmark agrees with itself with τ = "
            f"{same:.2f}, and two benchmarks with τ = {different:.2f}, where the same true ranking on both would give "
            f"{if_same:.2f}."
        )
    return text.replace("τ -", "τ −").replace("= -", "= −")


def _of_power(analysis: Analysis, top: TopTwo) -> str:
    where = "over all benchmarks" if top.scope == "all" else f"on {top.scope}"
    difference = f"{score_text(analysis, top.difference)}{points_text(analysis)}"
    start = f"The two best {where}, {top.first} and {top.second}, are {difference} apart"
    if math.isnan(top.needed):
        return f"{start}; how many searches would be needed to tell them apart depends on a noise that is not known."
    if math.isinf(top.needed):
        return f"{start}; no affordable number of searches would tell them apart."
    return (
        f"{start}; to tell them apart (80 % power) takes {top.needed:.0f} searches of each"
        f"{' on each benchmark' if top.scope == 'all' else ''}, there are {top.searches}."
    )
