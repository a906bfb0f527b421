"""The commands ``archgrad landscape …``: neighbourhoods, paths and optima of a table, printed and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from archgrad import console, landscape, tables
from archgrad.console import print_table
from archgrad.errors import ArchgradError, require_whole
from archgrad.landscape.surface import METRIC
from archgrad.options import require_absent
from archgrad.tables import Column
from archgrad.tables.commands import TABLE

T = TypeVar("T")


def neighbourhood(
    architecture: str | None = None,
    *,
    table: str = TABLE,
    metric: str = METRIC,
    radii: int = 3,
    merge: bool = False,
    above: float | None = None,
    out: str | None = None,
) -> None:
    """Show how accurate the architectures around one, or around the published groups A, B and C, are.

    Args:
        architecture: in the space's notation, or its number; the groups of the metric's data set by default
        table: a table by name, or a Parquet or CSV file
        metric: a column, or a pattern for the mean of several
        radii: the neighbourhoods of 1 to so many edits
        merge: count architectures that are the same network once
        above: leave values out that are not above it; 10 gives the published figures
        out: write a figure, neighbours per radius over the whole space; its suffix names the format
    """
    require_whole("landscape neighbourhood", 1, radii=radii)
    loaded = tables.load(table)
    if architecture is not None:
        cells = {architecture: [int(loaded.index[loaded.row(architecture)])]}
    else:
        intervals = _published(landscape.GROUPS, metric, "an architecture")
        cells = {name: landscape.between(loaded, *ends, metric=metric).tolist() for name, ends in intervals.items()}
    around = {
        name: [
            landscape.neighbourhood(loaded, chosen, radius, metric=metric, merge=merge, above=above)
            for radius in range(1, radii + 1)
        ]
        for name, chosen in cells.items()
        if chosen
    }
    if not around:
        raise ArchgradError(f"landscape neighbourhood: no architecture of {loaded.name!r} lies in a published group")
    summaries = [(name, found.summary()) for name, group in around.items() for found in group]
    numbers = ("own_mean", "mean", "std", "min", "median", "max")
    rows = [
        [name, *(f"{s[key]:,.0f}" for key in ("radius", "cells", "neighbours")), *(f"{s[key]:.2f}" for key in numbers)]
        for name, s in summaries
    ]
    console.give(table=table, metric=metric, around=[{"around": name, **s} for name, s in summaries])
    header = ["around", "radius", "cells", "neighbours", "own mean", *numbers[1:]]
    print_table(header, rows)
    _draw(out, lambda: landscape.neighbour_histogram(around, loaded, metric=metric, above=above))


def path(
    a: str | None = None,
    b: str | None = None,
    *,
    table: str = TABLE,
    metric: str = METRIC,
    out: str | None = None,
) -> None:
    """Show the accuracies on all shortest paths between two architectures, and the barrier.

    Args:
        a: in the space's notation, or its number; the published pairs A, B and C of the metric's data set by default
        b: the other end
        table: a table by name, or a Parquet or CSV file
        metric: a column, or a pattern for the mean of several
        out: write a figure, accuracy per step; its suffix names the format
    """
    if (a is None) != (b is None):
        raise ArchgradError("landscape path: give both ends, or none for the published pairs")
    loaded = tables.load(table)
    ends: Mapping[str, tuple[str | int, str | int]]
    if a is not None and b is not None:
        ends = {f"{a} to {b}": (a, b)}
    else:
        ends = _published(landscape.ENDPOINTS, metric, "both ends")
    paths = {name: landscape.shortest_paths(loaded, *pair, metric=metric) for name, pair in ends.items()}
    given: dict[str, Any] = {}
    for name, found in paths.items():
        console.say(f"{name}: {len(found.steps)} shortest paths of {found.distance} edits, barrier {found.barrier:.2f}")
        given[name] = {"distance": found.distance, "barrier": found.barrier, "paths": len(found.steps)}
        given[name] |= {"mean": found.mean, "std": found.std}
        steps = zip(found.mean, found.std, found.accuracies.min(0), found.accuracies.max(0), strict=True)
        rows = [[str(step), *(f"{value:.2f}" for value in values)] for step, values in enumerate(steps)]
        print_table(["edits", "mean", "std", "min", "max"], rows, left=())
    console.give(table=table, metric=metric, paths=given)
    _draw(out, lambda: landscape.path_profiles(paths, ylabel=metric))


def optima(
    *,
    table: str = TABLE,
    metric: str = METRIC,
    merge: bool = True,
    count: int = 10,
    top: float = 0.01,
    out: str | None = None,
    method: str | None = None,
) -> None:
    """Show where climbing ends, from how many architectures, and whether the best ones lie together.

    Args:
        table: a table by name, or a Parquet or CSV file
        metric: a column, or a pattern for the mean of several
        merge: take architectures that are the same network as one
        count: how many optima are listed
        top: the best share of the architectures that is looked at together
        out: write a figure, a map of the space coloured by accuracy; its suffix names the format
        method: of the map: pca, the default, at once; tsne in a minute keeps neighbours together; mds takes minutes
    """
    require_whole("landscape optima", 1, count=count)
    if out is None:
        require_absent("is that of the map, which --out names", method=method)
    loaded = tables.load(table)
    found = landscape.local_optima(loaded, metric=metric, merge=merge)
    s = found.summary()
    console.say(
        f"{s['optima']:,} local optima of {s['architectures']:,} architectures; climbing ends at "
        f"{s['mean_after_climbing']:.2f} on average, at the best from {s['best_basin'] / s['architectures']:.1%}"
    )
    entries = zip(found.index[:count].tolist(), found.accuracy, found.basin, strict=False)
    listed = [{"index": i, "value": v, "basin": b, "architecture": loaded.text(loaded.row(i))} for i, v, b in entries]
    rows = [[str(o["index"]), f"{o['value']:.2f}", f"{o['basin']:,}", o["architecture"]] for o in listed]
    console.give(table=table, metric=metric, **s, listed=listed)
    print_table(["index", metric, "basin", "architecture"], rows, left=(3,))
    spread = landscape.clustering(loaded, top, metric=metric, merge=merge)
    console.give(best=spread)
    console.say(
        f"best {spread.count:,}: from {spread.threshold:.2f} on, {spread.mean_distance:.2f} edits apart "
        f"(any two: {spread.expected_distance:.2f}), in {spread.components} pieces; a neighbour is one of them "
        f"{spread.concentration:.1f} times as often as by chance"
    )
    _draw(out, lambda: landscape.space_map(loaded, metric=metric, method=method or "pca"))


COMMANDS: dict[str, Callable[..., Any]] = {"neighbourhood": neighbourhood, "path": path, "optima": optima}


def _published(by_dataset: Mapping[str, T], metric: str, otherwise: str) -> T:
    dataset = Column.parse(metric).dataset
    if dataset is None or dataset not in by_dataset:
        raise ArchgradError(f"nothing is published for {metric!r} ({', '.join(by_dataset)} are): give {otherwise}")
    return by_dataset[dataset]


def _draw(out: str | None, make: Callable[[], Any]) -> None:
    if out is not None:
        figure = landscape.save(make(), out)
        console.say(f"figure: {figure}")
        console.give(figure=figure)
