"""The tables of a statistical report: as data frames, CSV and LaTeX."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from archgrad.bench.report.wording import blocks_text, score_text
from archgrad.bench.statistics.agreement import Agreement
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.cube import deviation, mean
from archgrad.bench.statistics.power_analysis import ASSUMED
from archgrad.bench.statistics.ranks import rank
from archgrad.bench.statistics.variation import COMPONENTS
from archgrad.foreign.columns import as_text
from archgrad.runs import atomic_write


def frames(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Name → table, everything that the report shows, in full precision; shares are in % and points."""
    return {
        "cells": cells(analysis),
        "benchmarks": benchmarks(analysis),
        "average_ranks": ranks(analysis),
        "nemenyi": nemenyi(analysis),
        "pairs": pairs(analysis),
        "aggregates": aggregates(analysis),
        "tau_benchmarks": agreement(analysis.benchmarks),
        "tau_settings": agreement(analysis.settings),
        "spread": spread(analysis),
        "best_settings": best_settings(analysis),
        "power": power(analysis),
    }


def cells(analysis: Analysis) -> pd.DataFrame:
    """Every method, benchmark and setting: mean, deviation over the searches, how many, rank among all there."""
    cube = analysis.everything
    place = np.moveaxis(rank(np.moveaxis(cube.cells, 0, -1)), -1, 0)
    m, b, h = np.nonzero(cube.counts)
    return pd.DataFrame(
        {
            "method": np.array(cube.methods, dtype=object)[m],
            "benchmark": np.array(cube.benchmarks, dtype=object)[b],
            "setting": np.array(cube.settings, dtype=object)[h],
            "about": [analysis.results.settings.get(cube.settings[i], "") for i in h],
            "mean": cube.shown(cube.cells[m, b, h]),
            "std": cube.spread[m, b, h],
            cube.replicates: cube.counts[m, b, h],
            "rank": place[m, b, h],
        }
    )


def benchmarks(analysis: Analysis) -> pd.DataFrame:
    """Every method and benchmark, over the settings that all methods have."""
    cube = analysis.cube
    rows = []
    by_setting, by_run = deviation(cube.cells, -1), deviation(cube.runs, -1)
    averages = {how: cube.blocks(how) for how in ("mean", "best")}
    places = {how: rank(values) for how, values in averages.items()}
    for m, b in np.ndindex(len(cube.methods), len(cube.benchmarks)):
        rows.append(
            {
                "method": cube.methods[m],
                "benchmark": cube.benchmarks[b],
                "mean": cube.shown(averages["mean"][b, m]),
                "std_settings": by_setting[m, b],
                f"std_{cube.replicates}": by_run[m, b],
                "rank": places["mean"][b, m],
                "best": cube.shown(averages["best"][b, m]),
                "rank_of_best": places["best"][b, m],
                cube.replicates: int(cube.present[m, b].sum()),
            }
        )
    return pd.DataFrame(rows)


def ranks(analysis: Analysis) -> pd.DataFrame:
    """Average ranks by the mean and by the best setting, with intervals."""
    columns: dict[str, Any] = {"method": list(analysis.ranks.methods)}
    for name, found in (("rank", analysis.ranks), ("rank_of_best", analysis.ranks_of_best)):
        order = [found.methods.index(method) for method in analysis.ranks.methods]
        for column, values in ((name, found.average), (f"{name}_low", found.low), (f"{name}_high", found.high)):
            columns[column] = values[order]
    columns["mean"] = analysis.cube.shown(mean(analysis.cube.blocks(), 0))
    return pd.DataFrame(columns)


def nemenyi(analysis: Analysis) -> pd.DataFrame:
    """Nemenyi's p of every pair, by the mean and by the best setting."""
    first, second = np.triu_indices(len(analysis.ranks.methods), 1)
    names = np.array(analysis.ranks.methods, dtype=object)
    other = [analysis.ranks_of_best.methods.index(name) for name in analysis.ranks.methods]
    best = analysis.ranks_of_best.nemenyi[np.ix_(other, other)]
    return pd.DataFrame(
        {
            "first": names[first],
            "second": names[second],
            "p_mean": analysis.ranks.nemenyi[first, second],
            "p_best": best[first, second],
        }
    )


def pairs(analysis: Analysis) -> pd.DataFrame:
    """Every pair of methods."""
    return pd.DataFrame([{**vars(pair), "cliff_delta": pair.cliff_delta} for pair in analysis.pairs])


def aggregates(analysis: Analysis) -> pd.DataFrame:
    """Every aggregate of every method, one row each."""
    return pd.DataFrame(
        [
            {"aggregate": a.name, "method": method, "value": a.values[m], "low": a.low[m], "high": a.high[m]}
            for a in analysis.aggregates
            for m, method in enumerate(analysis.cube.methods)
        ]
    )


def agreement(found: Agreement) -> pd.DataFrame:
    """Every pair of rankings."""
    i, j = np.triu_indices(len(found.names), 1)
    names = np.array(found.names, dtype=object)
    columns = {"tau": found.tau, "low": found.low, "high": found.high, "p": found.p}
    if found.halves is not None:
        columns["tau_of_halves"] = found.halves
    table = {name: values[i, j] for name, values in columns.items() if not np.isnan(values[i, j]).all()}
    return pd.DataFrame({"first": names[i], "second": names[j], **table})


def spread(analysis: Analysis) -> pd.DataFrame:
    """Deviations, ranges and variance components per benchmark."""
    found = analysis.spread
    columns: dict[str, Any] = {
        "benchmark": found.benchmarks,
        "std_methods": found.method_deviation,
        "std_settings": found.setting_deviation,
        "range_methods": found.method_range,
        "range_settings": found.setting_range,
    }
    for name, values in zip(COMPONENTS, found.components.T, strict=True):
        columns[f"variance {name}"] = values
    return pd.DataFrame(columns)


def best_settings(analysis: Analysis) -> pd.DataFrame:
    """How often each setting is best."""
    names = analysis.cube.settings
    about = [analysis.results.settings.get(name, "") for name in names]
    return pd.DataFrame({"setting": names, "about": about, "best": analysis.best_settings, "of": analysis.best_of})


def power(analysis: Analysis) -> pd.DataFrame:
    """The two best of every benchmark and what it would take to tell them apart."""
    rows = []
    for top in analysis.power:
        row = dict(vars(top))
        assumed = {f"needed_if_std_{d:g}": count for d, count in zip(ASSUMED, row.pop("assumed"), strict=True)}
        row |= assumed if analysis.results.percent else {}  # they are deviations in points
        rows.append(row)
    return pd.DataFrame(rows)


def csv(frame: pd.DataFrame) -> str:
    """A table as CSV text, six significant digits; no cell of text is a formula to a spreadsheet."""
    return frame.rename(columns=as_text).map(as_text).to_csv(index=False, float_format="%.6g")


def write(analysis: Analysis, directory: Path) -> list[Path]:
    """Write every table as CSV, and those for papers as LaTeX (booktabs), into a directory; returns the files."""
    directory.mkdir(parents=True, exist_ok=True)
    contents = {f"{name}.csv": csv(frame) for name, frame in frames(analysis).items()}
    contents |= {f"{name}.tex": text for name, text in latex_tables(analysis).items()}
    for name, text in contents.items():
        atomic_write(directory / name, text.encode())
    return [directory / name for name in contents]


def latex_tables(analysis: Analysis) -> dict[str, str]:
    """Name → LaTeX: scores with the best in bold, by the name of the metric; average ranks, and pairs of methods."""
    return {analysis.results.reading.primary: _scores(analysis), "ranks": _ranks(analysis), "pairs": _pairs(analysis)}


def _scores(analysis: Analysis) -> str:
    cube, blocks = analysis.cube, analysis.cube.blocks()
    over = cube.replicates if cube.replicated else "settings"
    spreads = deviation(cube.runs if cube.replicated else cube.cells, -1)
    best = blocks == blocks.max(1, keepdims=True)
    rows = []
    for b, name in enumerate(cube.benchmarks):
        row = [escaped(name)]
        for m in range(len(cube.methods)):
            value = score_text(analysis, cube.shown(blocks[b, m]))
            value = rf"\mathbf{{{value}}}" if best[b, m] else value
            around = "" if math.isnan(spreads[m, b]) else rf" \pm {score_text(analysis, spreads[m, b])}"
            row.append(f"${value}{around}$")
        rows.append(row)
    rows.append(["average rank", *(f"{value:.2f}" for value in analysis.ranks.average)])
    settings = f"mean over {len(cube.settings)} training settings" if len(cube.settings) > 1 else "one training setting"
    caption = f"{_upper(analysis.results.primary)}: {settings} and all {cube.replicates}, $\\pm$ deviation over {over}."
    header = ["benchmark", *map(escaped, cube.methods)]
    return latex(
        header, rows, "l" + "r" * len(cube.methods), caption, analysis.results.reading.primary, last_apart=True
    )


def _ranks(analysis: Analysis) -> str:
    rows = []
    for row in ranks(analysis).itertuples(index=False):
        score = score_text(analysis, row[7])
        intervals = [f"{low:.2f}--{high:.2f}" if low == low else "--" for low, high in (row[2:4], row[5:7])]
        rows.append([escaped(row[0]), f"{row[1]:.2f}", intervals[0], f"{row[4]:.2f}", intervals[1], score])
    caption = (
        f"Average ranks over {len(analysis.cube.benchmarks)} benchmarks by the mean and by the best setting, with "
        f"{100 * (1 - analysis.alpha):g}\\,\\% bootstrap intervals over {analysis.intervals_over}"
    )
    test = analysis.ranks.friedman
    if test is not None:
        caption += (
            f"; Friedman $\\chi^2 = {test.chi2:.2f}$, $p = {test.p:.2g}$, Nemenyi critical difference "
            f"{analysis.ranks.critical_difference:.2f} over {blocks_text(analysis)}"
        )
    header = ["method", "rank (mean)", "interval", "rank (best)", "interval", "mean score"]
    return latex(header, rows, "lrrrrr", caption + ".", "ranks")


def _pairs(analysis: Analysis) -> str:
    def p(value: float) -> str:
        return "--" if math.isnan(value) else r"$<$\,0.001" if value < 0.001 else f"{value:.3f}"

    rows = [
        [
            escaped(pair.first),
            escaped(pair.second),
            f"${score_text(analysis, pair.difference, sign=True)}$",
            f"{pair.wins}/{pair.ties}/{pair.losses}",
            p(pair.p_benchmarks),
            p(pair.p_searches),
            f"{pair.improvement:.2f}",
            "--" if math.isnan(pair.hedges_g) else f"${pair.hedges_g:.2f}$",
        ]
        for pair in analysis.pairs
    ]
    caption = (
        f"Pairs of methods: difference{' in points' if analysis.results.percent else ''}, benchmarks won/tied/lost, "
        "Holm-corrected $p$ of Wilcoxon's test over "
        f"benchmarks and of Welch's stratified test over {analysis.cube.replicates}, probability of improvement, "
        "Hedges' $g$."
    )
    header = ["first", "second", "difference", "w/t/l", "$p$ benchm.", f"$p$ {analysis.cube.replicates}", "$P$", "$g$"]
    return latex(header, rows, "llrrrrrr", caption, "pairs")


def latex(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    columns: str,
    caption: str,
    label: str,
    *,
    last_apart: bool = False,
) -> str:
    """A LaTeX table for the package booktabs; cells are LaTeX already."""
    lines = [f"    {' & '.join(row)} \\\\" for row in rows]
    if last_apart and len(lines) > 1:
        lines.insert(-1, r"    \midrule")
    body = "\n".join(lines)
    return (
        "% written by archgrad; needs \\usepackage{booktabs}\n"
        f"\\begin{{table}}\n  \\centering\n  \\caption{{{caption}}}\n  \\label{{tab:{label}}}\n"
        f"  \\begin{{tabular}}{{{columns}}}\n    \\toprule\n    {' & '.join(header)} \\\\\n    \\midrule\n{body}\n"
        "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
    )


def escaped(text: str) -> str:
    r"""Text with LaTeX's own characters escaped.

    >>> escaped("pc_darts & co")
    'pc\\_darts \\& co'
    """
    plain = re.sub(r"[&%$#_{}]", lambda match: "\\" + match[0], text.replace("\\", "/"))
    return plain.replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")


def _upper(text: str) -> str:
    return escaped(text[:1].upper() + text[1:])
