"""The found cells, drawn as graphs."""

from __future__ import annotations

from archgrad.figures.axes import by_width
from archgrad.figures.cell import Arrow, draw
from archgrad.figures.cell_rows import draw_rows
from archgrad.figures.markup import Markup, element, join, table
from archgrad.figures.palette import chip, colours
from archgrad.report.rundata import GroupShape, RunData
from archgrad.report.section import Section, note


def cells(data: RunData) -> Section:
    """Every group of several edges as a graph; the groups of one edge as a table."""
    title = "Found architecture" if data.finished else "Architecture so far"
    if data.genotype is None or not data.groups:
        return Section(title, note("The architecture cannot be drawn: no genotype with known groups is recorded."))
    colour = colours(name for group in data.groups.values() for name in group.operations)
    kept = data.genotype.choices
    graphs, single, notes = [], [], []
    for name, group in data.groups.items():
        if len(kept.get(name, ())) != len(group.edges):
            notes.append(note(f"The genotype does not fit the group {name}, which has {len(group.edges)} edges."))
        elif len(group.edges) == 1:
            rest = [o for o in group.operations if o not in kept[name][0]]
            single.append([name, [chip(o, colour.get(o)) for o in kept[name][0]] or "nothing", ", ".join(rest)])
        else:
            graphs.append(_graph(name, group, kept[name], colour))
    if single:
        graphs.append(table(["Choice", "Kept", "Other candidates"], single))
    return Section(title, join(graphs, notes))


def _graph(name: str, group: GroupShape, kept: tuple[tuple[str, ...], ...], colour: dict[str, str]) -> Markup:
    states = sorted(set(range(group.inputs)) | {state for edge in group.edges for state in edge})
    # The cells of DARTS read two states and concatenate all others; cells that read one state end in their last one.
    outputs = states[group.inputs :] if group.inputs > 1 else states[-1:]
    arrows = [
        Arrow(source, target, operation, colour.get(operation, "op-none"))
        for (source, target), names in zip(group.edges, kept, strict=True)
        for operation in names
    ]
    drawings = (picture(f"Cell {name}", states, group.inputs, outputs, arrows) for picture in (draw, draw_rows))
    return element("figure", element("figcaption", name), by_width(*drawings))
