"""How the weights of the candidates moved during the search."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from archgrad.figures.axes import ticks
from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Markup, details, element, join, table
from archgrad.figures.palette import colours, legend
from archgrad.report.rundata import ALPHAS, AlphaHistory, GroupShape, RunData
from archgrad.report.section import Section, note
from archgrad.supernet import EDGES


def shares(alphas: AlphaHistory) -> AlphaHistory:
    """Softmax over the last axis; candidates at minus infinity get 0."""
    finite = np.nan_to_num(alphas, nan=-1e300, posinf=1e300, neginf=-1e300)
    result: AlphaHistory = softmax(finite, axis=-1)
    return result


def weights(data: RunData) -> Section | None:
    """Softmax(alphas) over the epochs, one small chart per edge; None for searches that have no alphas."""
    if data.by_proxies:
        return None
    title = "Architecture weights"
    if ALPHAS in data.problems:
        return Section(title, note(f"The weights cannot be shown: {data.problems[ALPHAS]}"))
    if not data.alphas:
        return Section(title, note(f"No weights are recorded yet ({ALPHAS} is missing)."))
    colour = colours(name for group in data.groups.values() for name in group.operations)
    lead = element(
        "p",
        "softmax(α) of every edge after each epoch; 0 is the start. A dot marks the operations kept.",
        class_="lead",
    )
    cells: list[Markup] = []
    single: dict[str, AlphaHistory] = {}
    unknown: list[Markup] = []
    for name, alphas in data.alphas.items():
        if name.endswith(EDGES):
            cells += _edges(data.groups.get(name.removesuffix(EDGES)), name.removesuffix(EDGES), alphas)
            continue
        group = data.groups.get(name)
        if group is None or not len(alphas) or alphas.shape[1:] != (len(group.edges), len(group.operations)):
            unknown.append(note(f"The weights of the group {name} cannot be shown: its edges are not recorded."))
        elif len(group.edges) == 1:
            single[name] = shares(alphas)
        else:
            cells += _group(data, name, group, shares(alphas), colour)
    if single:
        y_ticks = ticks(0.0, max(float(values.max()) for values in single.values()), 3)
        panels = [_panel(data, name, 0, name, values, y_ticks, colour) for name, values in single.items()]
        cells.append(element("div", panels, class_="multiples"))
    return Section(title, join(lead, legend(colour), cells, unknown))


def _group(data: RunData, name: str, group: GroupShape, values: AlphaHistory, colour: dict[str, str]) -> list[Markup]:
    """One chart per edge, and a table of the last weights."""
    y_ticks = ticks(0.0, float(values.max()), 3)
    panels = [
        _panel(data, name, edge, f"{source} → {target}", values, y_ticks, colour)
        for edge, (source, target) in enumerate(group.edges)
    ]
    return [element("h3", name), element("div", panels, class_="multiples"), _table(group, values[-1])]


def _edges(group: GroupShape | None, name: str, betas: AlphaHistory) -> list[Markup]:
    """The shares of the edges that enter each node, one chart per node with several."""
    if group is None or betas.shape[1:] != (len(group.edges), 1):
        return [note(f"The weights of the edges of {name} cannot be shown: its edges are not recorded.")]
    colour = colours(f"from {source}" for source, _ in group.edges)
    panels = []
    for node in dict.fromkeys(target for _, target in group.edges):
        edges = [number for number, (_, target) in enumerate(group.edges) if target == node]
        if len(edges) > 1:
            values = shares(betas[:, edges, 0])
            lines = [
                Series(label := f"from {group.edges[edge][0]}", values[:, place].tolist(), colour[label])
                for place, edge in enumerate(edges)
            ]
            y_ticks = ticks(0.0, float(values.max()), 3)
            chart = line_chart(
                f"Edges into {node} of {name}", range(len(values)), lines, y_ticks=y_ticks, size=(180, 112)
            )
            panels.append(element("figure", element("figcaption", f"into {node}"), chart))
    return [element("h3", f"{name}: shares of the edges"), legend(colour), element("div", panels, class_="multiples")]


def _panel(
    data: RunData,
    name: str,
    edge: int,
    label: str,
    values: AlphaHistory,
    y_ticks: list[float],
    colour: dict[str, str],
) -> Markup:
    """One edge; all charts of a cell share one scale."""
    lines = [
        Series(operation, values[:, edge, i].tolist(), colour[operation])
        for i, operation in enumerate(data.groups[name].operations)
    ]
    kept = data.genotype.choices.get(name, ()) if data.genotype else ()
    dots = [
        element("i", title=f"kept: {operation}", class_=f"dot {colour.get(operation, '')}")
        for operation in (kept[edge] if edge < len(kept) else ())
    ]
    chart = line_chart(f"Weights of {name} {label}", range(len(values)), lines, y_ticks=y_ticks, size=(180, 112))
    return element("figure", element("figcaption", label, dots), chart)


def _table(group: GroupShape, last: AlphaHistory) -> Markup:
    rows = [
        [f"{source} → {target}", *(f"{value:.3f}" for value in row)]
        for (source, target), row in zip(group.edges, last, strict=True)
    ]
    listing = table(["Edge", *group.operations], rows, numeric=range(1, len(group.operations) + 1))
    return details("Last weights as a table", listing)
