"""Figures of a landscape; `archgrad.figures.files.save` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from archgrad.errors import ArchgradError
from archgrad.landscape.embedding import embed
from archgrad.landscape.graph import nodes
from archgrad.landscape.neighbourhood import Neighbourhood
from archgrad.landscape.paths import Paths
from archgrad.landscape.surface import METRIC
from archgrad.tables import Table

_GREY = "0.8"


def neighbour_histogram(
    neighbourhoods: Mapping[str, Sequence[Neighbourhood]],
    table: Table,
    *,
    metric: str = METRIC,
    bins: int = 60,
    above: float | None = None,
) -> Figure:
    """One panel per radius: the density of the neighbours of every group over that of the whole table (grey).

    ``neighbourhoods``: a group's name → its neighbourhoods, with the same radii for all groups. ``above``: the values
    of the table that are drawn, as in `neighbourhood`.
    """
    radii = {tuple(n.radius for n in group) for group in neighbourhoods.values()}
    if len(radii) != 1 or () in radii:
        raise ArchgradError("histogram: every group needs neighbourhoods of the same radii, at least one")
    values = table.values(metric)
    whole = values[~np.isnan(values) & (values > (-np.inf if above is None else above))]
    drawn = [n.pooled for group in neighbourhoods.values() for n in group] + [whole]
    edges = np.linspace(min(v.min() for v in drawn if v.size), max(v.max() for v in drawn if v.size), bins + 1)
    (shown,) = radii
    figure = Figure(figsize=(4 * len(shown), 3.2), layout="constrained")
    panels = figure.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    for number, (panel, radius) in enumerate(zip(panels, shown, strict=True)):
        panel.hist(whole, edges, density=True, color=_GREY, label="whole space")
        for name, group in neighbourhoods.items():
            found = group[number]
            label = f"{name}: {found.mean:.2f} ± {found.std:.2f}"
            panel.hist(found.pooled, edges, density=True, histtype="step", linewidth=1.5, label=label)
        panel.set(title=f"radius {radius}", xlabel=metric)
        panel.legend(fontsize="small", frameon=False)
    panels[0].set_ylabel("density")
    return figure


def path_profiles(paths: Mapping[str, Paths], *, ylabel: str = METRIC) -> Figure:
    """Accuracy per step, mean and standard deviation over all shortest paths; single paths thin."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, found) in enumerate(paths.items()):
        steps, colour = np.arange(found.distance + 1), f"C{number}"
        axes.plot(steps, found.accuracies.T, color=colour, linewidth=0.5, alpha=0.35)
        label = f"{name}: barrier {found.barrier:.2f}"
        axes.errorbar(steps, found.mean, found.std, color=colour, linewidth=2, capsize=3, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="edits from the first architecture", ylabel=ylabel)
    figure.legend(loc="outside upper center", ncols=3, fontsize="small", frameon=False)
    return figure


def space_map(table: Table, *, metric: str = METRIC, method: str = "pca", seed: int = 0) -> Figure:
    """Every isomorphism class as a point of a plane, coloured by its accuracy; the best are drawn last.

    Colours are spread over the ranks, since most accuracies of a benchmark lie close together.
    """
    points = embed(table, method, seed=seed)
    accuracy = table.values(metric)[nodes(table, merge=True)]
    order = np.argsort(accuracy, kind="stable")
    order = order[~np.isnan(accuracy[order])]
    figure = Figure(figsize=(5.6, 4.6), layout="constrained")
    axes = figure.subplots()
    ranks = np.linspace(0, 100, len(order))
    dots = axes.scatter(points[order, 0], points[order, 1], c=ranks, s=6, linewidths=0, cmap="viridis")
    bar = figure.colorbar(dots, ax=axes, label=metric)
    marks = np.array([0, 25, 50, 75, 100])
    bar.set_ticks(marks.tolist(), labels=[f"{v:.2f}" for v in np.percentile(accuracy[order], marks)])
    axes.set(xticks=[], yticks=[], title=f"{table.name}: {len(order):,} classes, {method}")
    return figure
