"""Figures of a robustness evaluation: accuracy over the radius, and corruptions by severity."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from archgrad.errors import ArchgradError
from archgrad.robustness.evaluation import Robustness


def accuracy_over_radius(networks: Mapping[str, Robustness]) -> Figure:
    """One panel per norm: accuracy in % over ε, a line per attack, in one style per network."""
    norms = {found.norm: None for one in networks.values() for found in one.attacks.values()}
    if not norms:
        raise ArchgradError("robustness figure: no attack was evaluated")
    figure = Figure(figsize=(5.2 * len(norms), 3.6), layout="constrained")
    panels = figure.subplots(1, len(norms), squeeze=False)[0]
    attacks = list({label: None for one in networks.values() for label in one.attacks})
    for panel, norm in zip(panels, norms, strict=True):
        unit = 255 if norm == "linf" else 1
        for (name, one), style in zip(networks.items(), ("-", "--", ":", "-.") * len(networks), strict=False):
            for label, found in one.attacks.items():
                if found.norm != norm:
                    continue
                x = [0.0, *(unit * epsilon for epsilon in found.epsilons)]
                y = [100 * one.clean, *(100 * accuracy for accuracy in found.accuracies)]
                shown = label if len(networks) == 1 else f"{name}: {label}"
                panel.plot(x, y, style, marker="o", color=f"C{attacks.index(label)}", label=shown, markersize=4)
        panel.set(xlabel="L∞ radius in 1/255" if norm == "linf" else "L2 radius", ylim=(0, None))
        panel.legend(fontsize="small", frameon=False)
    panels[0].set_ylabel("test accuracy in %")
    return figure


def corruption_table(one: Robustness) -> Figure:
    """Accuracy in % as a coloured table, corruptions by severities."""
    if not one.corruptions:
        raise ArchgradError("robustness figure: no corruption was evaluated")
    values = 100 * np.array(list(one.corruptions.values()))
    figure = Figure(figsize=(4.2, 0.32 * len(values) + 1.0), layout="constrained")
    panel = figure.subplots()
    panel.imshow(values, aspect="auto", cmap="viridis", vmin=0, vmax=100 * max(one.clean, 0.01))
    panel.set_xticks(range(len(one.severities)), [str(severity) for severity in one.severities])
    panel.set_yticks(range(len(values)), [name.replace("_", " ") for name in one.corruptions])
    middle = 50 * one.clean
    for (row, column), value in np.ndenumerate(values):
        panel.text(
            column, row, f"{value:.1f}", ha="center", va="center", fontsize=8, color="w" if value < middle else "k"
        )
    panel.set(xlabel="severity", title=f"accuracy in % (clean {100 * one.clean:.1f})")
    return figure
