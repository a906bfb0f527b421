"""How the weights of the candidates moved during the search."""

from __future__ import annotations

import numpy as np

from archgrad.report.charts import Series, line_chart, ticks
from archgrad.report.markup import Markup, details, element, join, table
from archgrad.report.palette import colours, legend
from archgrad.report.rundata import ALPHAS, Alphas, GroupShape, RunData
from archgrad.report.section import Section, note


def softmax(alphas: Alphas) -> Alphas:
    """Over the last axis, in a form that cannot overflow; candidates at minus infinity get weight 0."""
    finite = np.nan_to_num(alphas, nan=-1e300, posinf=1e300, neginf=-1e300)
    powers = np.exp(finite - finite.max(axis=-1, keepdims=True))
    result: Alphas = powers / powers.sum(axis=-1, keepdims=True)
    return result


def weights(data: RunData) -> Section:
    """Softmax(alphas) over the epochs, one small chart per edge."""
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
    cells, single, unknown = [], {}, []
    for name, alphas in data.alphas.items():
        group = data.groups.get(name)
        if group is None or not len(alphas) or alphas.shape[1:] != (len(group.edges), len(group.operations)):
            unknown.append(note(f"The weights of the group {name} cannot be shown: its edges are not recorded."))
        elif len(group.edges) == 1:
            single[name] = softmax(alphas)
        else:
            values = softmax(alphas)
            y_ticks = ticks(0.0, float(values.max()), 3)
            panels = [
                _panel(data, name, edge, f"{source} → {target}", values, y_ticks, colour)
                for edge, (source, target) in enumerate(group.edges)
            ]
            cells += [element("h3", name), element("div", panels, class_="multiples"), _table(group, values[-1])]
    if single:
        y_ticks = ticks(0.0, max(float(values.max()) for values in single.values()), 3)
        panels = [_panel(data, name, 0, name, values, y_ticks, colour) for name, values in single.items()]
        cells.append(element("div", panels, class_="multiples"))
    return Section(title, join(lead, legend(colour), cells, unknown))


def _panel(
    data: RunData,
    name: str,
    edge: int,
    label: str,
    values: Alphas,
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


def _table(group: GroupShape, last: Alphas) -> Markup:
    rows = [
        [f"{source} → {target}", *(f"{value:.3f}" for value in row)]
        for (source, target), row in zip(group.edges, last, strict=True)
    ]
    listing = table(["Edge", *group.operations], rows, numeric=range(1, len(group.operations) + 1))
    return details("Last weights as a table", listing)
