"""Probability of improvement and the tests of every pair."""

from __future__ import annotations

from archgrad.bench.report import tables
from archgrad.bench.report.figures import figure
from archgrad.bench.report.wording import bounds_text, number_text, p_text
from archgrad.bench.statistics.analysis import Analysis
from archgrad.bench.statistics.pairwise import Pair
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.markup import Child, details, element, join, table
from archgrad.report.section import Section


def pairs(analysis: Analysis) -> Section | None:
    """Probability of improvement and the tests of every pair."""
    cube = analysis.cube
    if not analysis.pairs:
        return None
    drawing = heat_map(
        "Probability of improvement", cube.methods, cube.methods, _pair_cells(analysis), width=92, height=30
    )
    caption = (
        "Probability that the row beats the column. "
        f"* differs over the {cube.replicates}, † over the benchmarks (Holm, {analysis.alpha:g})"
    )
    rows = [_pair_row(pair) for pair in analysis.pairs]
    header = [
        "Pair", "Difference", "interval", "Won / tied / lost", "p benchmarks", f"p {cube.replicates}", "p cells",
        "P(better)", "interval", "Hedges g", "Cliff δ",
    ]  # fmt: skip
    words = element(
        "p",
        "All p are two-sided and Holm-corrected over the pairs; intervals are of each pair alone. p benchmarks: "
        "Wilcoxon over the benchmarks’ means. "
        f"p {cube.replicates}: stratified Welch test on these benchmarks. p cells: Wilcoxon over all benchmarks’ "
        "settings as if they were independent, which they are not since they share genotypes; it shows what counting "
        "them would suggest.",
        class_="lead",
    )
    whole = join(words, table(header, rows, numeric=range(1, len(header))))
    whole = whole if len(rows) <= 28 else details(f"All {len(rows)} pairs", whole)
    frame = tables.pairs(analysis)
    return Section("Pairs of methods", join(figure(caption, drawing, frame, "pairs"), whole))


def _pair_cells(analysis: Analysis) -> list[list[Tile]]:
    cube = analysis.cube
    index = {name: m for m, name in enumerate(cube.methods)}
    cells = [[Tile("", None, name) for _ in cube.methods] for name in cube.methods]
    for pair in analysis.pairs:
        i, j = index[pair.first], index[pair.second]
        stars = _stars(pair, analysis.alpha)
        for a, b, value, delta in (
            (i, j, pair.improvement, pair.difference),
            (j, i, 1 - pair.improvement, -pair.difference),
        ):
            title = (
                f"P({cube.methods[a]} beats {cube.methods[b]}) = {value:.3f}; mean difference {delta:+.2f} points; "
                f"Holm-corrected p: benchmarks {p_text(pair.p_benchmarks)}, {cube.replicates} {p_text(pair.p_searches)}"
            )
            cells[a][b] = Tile(f"{value:.2f}{stars}", 2 * value - 1, title, strong=bool(stars))
    return cells


def _pair_row(pair: Pair) -> list[Child]:
    return [
        f"{pair.first} – {pair.second}",
        f"{pair.difference:+.2f}",
        bounds_text(pair.low, pair.high, sign=True),
        f"{pair.wins} / {pair.ties} / {pair.losses}",
        p_text(pair.p_benchmarks),
        p_text(pair.p_searches),
        p_text(pair.p_cells),
        f"{pair.improvement:.2f}",
        bounds_text(pair.improvement_low, pair.improvement_high),
        number_text(pair.hedges_g, 2),
        f"{pair.cliff_delta:+.2f}",
    ]


def _stars(pair: Pair, alpha: float) -> str:
    return "*" * (pair.p_searches < alpha) + "†" * (pair.p_benchmarks < alpha)
