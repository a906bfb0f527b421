"""The heat map of a correlation study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from archgrad.scoring.correlation.study import Study
from archgrad.scoring.correlation.targets import chosen

PANELS = {"spearman": "Spearman", "partial": "Spearman given the number of parameters"}


def heat_map(study: Study, targets: Sequence[str] | None = None) -> Figure:
    """Two panels, Spearman and Spearman given size; a dot marks correlations whose 95 % interval holds 0.

    ``targets``: which are drawn; all but the HRS by default, which look like the attacks that they are made of.
    """
    if targets is None:
        targets = [name for name in study.targets if not name.startswith("hrs_")] or study.targets
    columns = chosen(study.targets, targets)
    order = np.argsort(-np.nan_to_num(study.spearman.value[:, columns].mean(1), nan=-2), kind="stable")
    height, width = 0.9 + 0.24 * len(study.proxies), 1.8 + 0.3 * len(columns)
    figure = Figure(figsize=(width, 2 * height + 1.4), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    for panel, (name, title) in zip(panels, PANELS.items(), strict=True):
        interval = getattr(study, name)
        shown = interval.value[order][:, columns]
        image = panel.imshow(shown, vmin=-1, vmax=1, cmap="RdBu", aspect="auto")
        unsure = (interval.low <= 0) & (interval.high >= 0)
        for i, row in enumerate(order):
            for j, column in enumerate(columns):
                value = shown[i, j]
                text = "" if np.isnan(value) else f"{value:.2f}".replace("0.", ".")
                mark = "·" if unsure[row, column] and text else ""
                colour = "white" if abs(value) > 0.65 else "black"
                panel.text(j, i, text + mark, ha="center", va="center", fontsize=5.5, color=colour)
        panel.set_yticks(range(len(order)), [study.proxies[i] for i in order], fontsize=7)
        panel.set_title(f"{title}, {study.cells:,} cells", fontsize=8)
    panels[-1].set_xticks(range(len(columns)), [study.targets[c] for c in columns], rotation=90, fontsize=7)
    figure.colorbar(image, ax=panels, shrink=0.5)
    return figure
