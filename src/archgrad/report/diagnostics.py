"""Diagnostics of the search over the epochs."""

from __future__ import annotations

from archgrad.figures.lines import Series, line_chart
from archgrad.figures.markup import details, element, join, table
from archgrad.figures.numbers import plain
from archgrad.figures.palette import colours, legend
from archgrad.report.rundata import RunData, number
from archgrad.report.section import Section

PER_GROUP = {
    "alignment": "Layer alignment: how far the cells' gradients agree",
    "saturation": "Largest weight of an edge, on average",
    "entropy": "Entropy of the weights (nats)",
    "skips": "Skip connections in the strongest genotype",
    "gradient_norm": "Norm of the gradient of the alphas",
}
OVERALL = {
    "eigenvalue": "Largest eigenvalue of the Hessian of the alphas",
    "discretisation_gap": "{} by settling the supernet",
}
WHOLE = "supernet"


def diagnostics(data: RunData) -> Section | None:
    """One chart per measure, one line per group; None where the run recorded none."""
    measures = {**PER_GROUP, **OVERALL}
    records = [r for r in data.history if any(name.partition("/")[0] in measures for name in r)]
    if not records:
        return None
    names = dict.fromkeys(n for r in records for n in r if n.partition("/")[0] in measures)
    groups = list(dict.fromkeys(name.partition("/")[2] or WHOLE for name in names))
    colour = {name: "series-found" if name == WHOLE else c for name, c in colours(groups).items()}
    epochs = [i + 1.0 if (e := number(r.get("epoch"))) is None else e + 1 for i, r in enumerate(records)]
    figures = []
    for measure, caption in measures.items():
        lines = [
            Series(group, [number(r.get(name)) for r in records], colour[group])
            for group in groups
            if (name := measure if group == WHOLE else f"{measure}/{group}") in names
        ]
        if lines:
            caption = caption.format(_lost(data))
            chart = line_chart(caption, epochs, lines, shown=plain)
            figures.append(element("figure", element("figcaption", caption), chart))
    rows = [
        [f"{epoch:.0f}", *("–" if (v := number(r.get(name))) is None else f"{v:.4g}" for name in names)]
        for epoch, r in zip(epochs, records, strict=True)
    ]
    header = ["Epoch", *(name.replace("_", " ").replace("/", " of ") for name in names)]
    listing = table(header, rows, numeric=range(len(header)))
    lead = element("p", "After chosen epochs, on one fixed batch of the validation part.", class_="lead")
    shown = element("div", figures, class_="pair")
    return Section("Diagnostics", join(lead, legend(colour), shown, details("All values as a table", listing)))


def _lost(data: RunData) -> str:
    """What a gap is measured in."""
    running = data.reading.running
    return f"{data.reading.label(running).capitalize()} lost" if running else "Loss gained"
