"""Figures of a robustness evaluation: accuracy over the radius, and corruptions by severity."""

from __future__ import annotations

from collections.abc import Mapping

from archgrad.errors import ArchgradError
from archgrad.figures.heat_map import Tile, heat_map
from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import Markup
from archgrad.figures.numbers import percent, share
from archgrad.robustness.evaluation import RADII, Attacked, Robustness

COLOURS = ("series-found", "series-a", "series-b", "series-c", "series-random")


def accuracy_over_radius(name: str, clean: float, attacks: Mapping[str, Attacked]) -> list[Markup]:
    """One chart per norm: a network's accuracy over ε, a line per attack from the clean accuracy on."""
    charts = []
    for norm, (unit, title) in RADII.items():
        found = {label: one for label, one in attacks.items() if one.norm == norm and one.epsilons}
        if not found:
            continue
        radii = next(iter(found.values())).epsilons
        lines = [
            Series(label, [clean, *one.accuracies], COLOURS[number % len(COLOURS)])
            for number, (label, one) in enumerate(found.items())
            if len(one.accuracies) == len(radii)
        ]
        x = [0.0, *(unit * radius for radius in radii)]
        charts.append(line_chart(f"Accuracy of {name} under attack", x, lines, x_name=title, shown=share, key=True))
    return charts


def corruption_table(one: Robustness) -> Markup:
    """Accuracy in %, corruptions by severities; the stronger the colour, the more is left of the clean accuracy."""
    if not one.corruptions:
        raise ArchgradError("robustness figure: no corruption was evaluated")
    names = [name.replace("_", " ") for name in one.corruptions]
    tiles = [
        [
            Tile(f"{100 * value:.1f}", value / max(one.clean, 0.01), f"{name}, severity {severity}: {percent(value)}")
            for severity, value in zip(one.severities, row, strict=True)
        ]
        for name, row in zip(names, one.corruptions.values(), strict=True)
    ]
    columns = [str(severity) for severity in one.severities]
    told = f"Accuracy in % per corruption and severity; clean {100 * one.clean:.1f}"
    return heat_map(told, names, columns, tiles, width=52)
