"""A comparison as sections of a page: where runs stand, what differs, their curves and their cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Child, Markup, element, join, table
from archgrad.figures.numbers import count, duration
from archgrad.figures.palette import legend
from archgrad.figures.scatter import Spot, front_of, pareto
from archgrad.follow.comparing import ABSENT, Comparison
from archgrad.follow.history import Curve
from archgrad.follow.listing import progress
from archgrad.genotype import Genotype
from archgrad.report.cells import cells
from archgrad.report.document import document, sections_of
from archgrad.report.measure import Measure
from archgrad.report.rundata import RunData
from archgrad.report.section import Section, note
from archgrad.runs import atomic_write
from archgrad.summary import Summary

Link = Callable[[Summary], str | None]
LABELLED = 20
"""Points of a chart that all have their names; of more only those on the front."""

VALUES = 4
"""Different values of a setting that are listed where there are many runs."""


def write(comparison: Comparison, path: Path | str) -> Path:
    """Write a comparison as one page that needs nothing outside itself, and return its path."""
    path = Path(path)
    about = f"{len(comparison.runs)} runs"
    page = document("Comparison of runs", "archgrad", about, sections(comparison), "Written by archgrad compare")
    atomic_write(path, page.encode())
    return path


def sections(comparison: Comparison, link: Link = lambda run: None) -> list[Section]:
    """All sections; ``link``: where the page of a run is."""

    def overview(subject: Comparison) -> Section:
        return Section("Runs", _table(subject, link))

    def score_and_size(subject: Comparison) -> Section | None:
        charts = fronts(subject.runs, subject.label, link)
        return Section("Score and size", element("div", charts, class_="pair")) if charts else None

    def found(subject: Comparison) -> Section | None:
        return _cells(subject, link)

    makers = [score_and_size, _repetitions, _settings, _curves, found]
    place = 0 if len(comparison.runs) <= LABELLED else len(makers)  # a long table hides what follows
    return sections_of(comparison, [*makers[:place], overview, *makers[place:]])


def _named(comparison: Comparison, run: Summary, link: Link) -> Child:
    address = link(run)
    return element("a", comparison.label(run), href=address) if address else comparison.label(run)


def _table(comparison: Comparison, link: Link) -> Markup:
    random = {
        run.directory: random_networks(data) for run, data in zip(comparison.shown, comparison.details, strict=True)
    }
    with_random = any(random.values())
    rows = [
        [
            _named(comparison, run, link),
            str(run.score or ABSENT),
            run.score.label if run.score else "",
            run.state,
            progress(run),
            run.method or run.kind,
            *([random.get(run.directory) or ABSENT] if with_random else []),
            count(run.parameters),
            count(run.flops),
            duration(run.seconds),
        ]
        for run in comparison.runs
    ]
    header = ["Run", "Score", "of", "State", "Done", "Method", *(["Random networks"] if with_random else [])]
    return table([*header, "Parameters", "FLOPs", "Time"], rows, numeric=[1, 4, *range(len(header), len(header) + 3)])


def random_networks(data: RunData) -> str:
    """Mean of the random networks of a run that were trained the same way, and the rank of the found one."""
    standing = data.standing
    if standing is None:
        return ""
    rank = f"rank {standing.rank(standing.found[0])} of {len(standing.random) + 1}"
    return f"{data.primary.mean(standing.mean, standing.std)}, {rank}"


def fronts(runs: Sequence[Summary], label: Callable[[Summary], str], link: Link) -> list[Markup]:
    """Score against parameters, a chart for every data set and measure that two runs have in common."""
    kinds: dict[tuple[str, str], list[Summary]] = {}
    for run in runs:
        if run.score and run.parameters is not None:
            kinds.setdefault((Path(run.data).name, run.score.label), []).append(run)
    frequent = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    return [_front(*kind, chosen, label, link) for kind, chosen in frequent if len(chosen) > 1][:4]


def _front(data: str, of: str, runs: Sequence[Summary], label: Callable[[Summary], str], link: Link) -> Markup:
    score = runs[0].score
    assert score is not None
    share, higher = score.share, score.higher_is_better
    spots = [
        Spot(
            label(run),
            run.parameters or 0.0,
            (100 if share else 1) * run.score.value if run.score else 0.0,
            "series-found" if run.state == "running" else "series-a",
            f"{label(run)}: {run.score}, {count(run.parameters)} parameters",
            link(run),
        )
        for run in runs
    ]
    if len(spots) > LABELLED:
        best = {id(spot) for spot in front_of(spots, higher)}
        spots = [spot if id(spot) in best else _unnamed(spot) for spot in spots]
    caption = f"{of} on {data}{'' if higher else ' (lower is better)'}"
    drawing = pareto(
        caption,
        spots,
        x_name="parameters",
        y_name=f"{of}{', %' if share else ''}",
        shown=lambda value: count(value).replace(" ", ""),
        size=(440, 320),
        higher_is_better=higher,
    )
    return element("figure", element("figcaption", caption), drawing)


def _unnamed(spot: Spot) -> Spot:
    return replace(spot, name="")


def _repetitions(comparison: Comparison) -> Section | None:
    """Means of repeated runs, and the tests of campaigns between them."""
    remarks = [note(text) for text in comparison.remarks]
    if not comparison.repeated or comparison.kind is None:
        return Section("Repetitions", join(remarks)) if remarks else None
    rows = [[group.name, len(group.scores), comparison.mean_of(group)] for group in comparison.every_repeated]
    parts: list[Markup] = [table(["Runs", "Repetitions", comparison.kind.label], rows, numeric=(1, 2))]
    if comparison.pairs:
        header = ["Pair", "Difference", "95 % interval", "p", "P(better)", "Hedges' g"]
        parts += [
            table(header, tests(comparison), numeric=range(1, 6)),
            note(
                "Above zero the first is better. p: Welch's test over the repetitions, Holm-corrected over all pairs; "
                "P(better): how often a run of the first beats one of the second."
            ),
        ]
    return Section("Repetitions", join(remarks, parts))


def tests(comparison: Comparison) -> list[list[str]]:
    """Every two groups that were tested: difference, its interval, p, P(better) and Hedges' g, for people."""
    return [
        [
            f"{pair.first} against {pair.second}",
            f"{pair.difference:+.3g}",
            _interval(pair.low, pair.high),
            _p_value(pair.p_searches),
            f"{pair.improvement:.2f}",
            f"{pair.hedges_g:.2f}",
        ]
        for pair in comparison.pairs
    ]


def _interval(low: float, high: float) -> str:
    return ABSENT if low != low else f"{low:+.3g} to {high:+.3g}"


def _p_value(value: float) -> str:
    return ABSENT if value != value else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _settings(comparison: Comparison) -> Section:
    title, differing = "Settings that differ", comparison.settings
    if not differing:
        return Section(title, note("None: all settings are the same."))
    if len(comparison.runs) <= len(comparison.shown):
        header: list[Child] = ["Setting", *map(comparison.label, comparison.runs)]
        every = ([name, *(element("code", value) for value in values)] for name, values in differing.items())
        return Section(title, table(header, every))
    rows = ([name, len(set(values)), element("code", frequent(values))] for name, values in differing.items())
    return Section(title, table(["Setting", "Different values", "Most frequent"], rows, numeric=(1,)))


def frequent(values: Sequence[str]) -> str:
    """The most frequent values of a setting, and how many runs have each."""
    counted = Counter(values).most_common(VALUES + 1)
    told = ", ".join(f"{value} ({times}×)" for value, times in counted[:VALUES])
    return told + (", …" if len(counted) > VALUES else "")


def _curves(comparison: Comparison) -> Section | None:
    labels = dict.fromkeys(curve.label for found in comparison.curves for curve in found)
    if not labels:
        return None
    colours = {comparison.label(run): f"op-{number}" for number, run in enumerate(comparison.shown)}
    figures = []
    for label in labels:
        chosen = [
            (comparison.label(run), curve)
            for run, found in zip(comparison.shown, comparison.curves, strict=True)
            for curve in found
            if curve.label == label
        ]
        figures.append(_chart(label, chosen, colours))
    few = None
    if len(comparison.shown) < len(comparison.runs):
        few = note(f"The {len(comparison.shown)} best of {len(comparison.runs)} runs.")
    return Section("Curves", join(few, legend(colours), element("div", figures, class_="pair")))


def _chart(label: str, chosen: Sequence[tuple[str, Curve]], colours: dict[str, str]) -> Markup:
    longest = max(len(curve.values) for _, curve in chosen)
    lines = [
        Series(name, [*curve.values, *[None] * (longest - len(curve.values))], colours[name]) for name, curve in chosen
    ]
    measure = Measure(chosen[0][1].reading, chosen[0][1].name)
    chart = line_chart(label, range(1, longest + 1), lines, x_name=chosen[0][1].unit, shown=measure.tick)
    return element("figure", element("figcaption", label), chart)


def _cells(comparison: Comparison, link: Link) -> Section | None:
    """What every shown run has found."""
    first = next((data.genotype for data in comparison.details if data.genotype is not None), None)
    parts = []
    for run, data in zip(comparison.shown, comparison.details, strict=True):
        if data.genotype is None:
            continue
        same = agreement(first, data.genotype) if first is not None and data.genotype is not first else ""
        parts += [element("h3", _named(comparison, run, link)), element("p", same, class_="lead") if same else None]
        parts.append(cells(data).body)
    return Section("Cells", join(parts)) if parts else None


def agreement(first: Genotype, other: Genotype) -> str:
    """How many decisions of two genotypes are the same; empty where they are not of the same space."""
    mine, theirs = first.choices, other.choices
    if {name: len(edges) for name, edges in mine.items()} != {name: len(edges) for name, edges in theirs.items()}:
        return ""
    every = [(a, b) for name in mine for a, b in zip(mine[name], theirs[name], strict=True)]
    return f"{sum(set(a) == set(b) for a, b in every)} of {len(every)} edges as in the first run"
