"""A comparison as text."""

from __future__ import annotations

from archgrad.console import print_table, say, sparkline
from archgrad.figures.numbers import count, duration
from archgrad.follow.comparing import ABSENT, Comparison
from archgrad.follow.listing import progress
from archgrad.follow.sections import frequent, random_networks, tests

FEW = 5
"""Runs whose settings stand side by side."""


def print_comparison(comparison: Comparison) -> None:
    """Everything that `Comparison` knows, but for drawings."""
    _runs(comparison)
    _settings(comparison)
    _curves(comparison)
    _found(comparison)
    _repetitions(comparison)
    for remark in comparison.remarks:
        say(remark)


def _runs(comparison: Comparison) -> None:
    random = {
        run.directory: random_networks(data) for run, data in zip(comparison.shown, comparison.details, strict=True)
    }
    header = ["run", "state", "done", "score", "of", "random networks", "parameters", "FLOPs", "time"]
    rows = [
        [
            comparison.label(run),
            run.state,
            progress(run),
            str(run.score or ABSENT),
            run.score.label if run.score else ABSENT,
            random.get(run.directory) or ABSENT,
            count(run.parameters),
            count(run.flops),
            duration(run.seconds),
        ]
        for run in comparison.runs
    ]
    kept = [number for number, name in enumerate(header) if name != "random networks" or any(random.values())]
    print_table(
        [header[i] for i in kept],
        [[row[i] for i in kept] for row in rows],
        left=[i for i, k in enumerate(kept) if header[k] in ("run", "state", "of", "random networks")],
    )
    say("")


def _settings(comparison: Comparison) -> None:
    if not comparison.settings:
        say("no setting differs", "")
        return
    if len(comparison.runs) <= FEW:
        header = ["setting", *map(comparison.label, comparison.runs)]
        print_table(header, [[name, *values] for name, values in comparison.settings.items()], left=range(len(header)))
    else:
        rows = [[name, frequent(values)] for name, values in comparison.settings.items()]
        print_table(["setting", "values"], rows, left=(0, 1))
    say("")


def _curves(comparison: Comparison) -> None:
    rows = [
        [
            comparison.label(run),
            curve.label,
            sparkline(curve.values),
            "" if curve.last is None else curve.written(curve.last),
        ]
        for run, found in zip(comparison.shown, comparison.curves, strict=True)
        for curve in found[:1]
    ]
    if rows:
        print_table(["run", "curve", "", "last"], rows, left=(0, 1, 2))
        say("")


def _found(comparison: Comparison) -> None:
    rows = [[comparison.label(run), data.text] for run, data in zip(comparison.shown, comparison.details, strict=True)]
    if any(text for _, text in rows):
        print_table(["run", "found"], [[name, text or ABSENT] for name, text in rows], left=(0, 1))
        say("")


def _repetitions(comparison: Comparison) -> None:
    if not comparison.repeated or comparison.kind is None:
        return
    rows = [[group.name, str(len(group.scores)), comparison.mean_of(group)] for group in comparison.repeated]
    print_table(["repeated runs", "repetitions", comparison.kind.label], rows)
    say("")
    if comparison.pairs:
        print_table(["pair", "difference", "95 % interval", "p (Holm)", "P(better)", "Hedges' g"], tests(comparison))
        say("")
