"""Figures of a statistical report as inline SVG: heat maps, critical differences, intervals, bars, scatter plots."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence

import pandas as pd

from archgrad.bench.report.tables import csv
from archgrad.bench.statistics.results import BASELINES
from archgrad.figures.markup import Child, Markup, element

METHOD_COLOURS = 11  # in report.css
BASELINE_COLOURS = dict(zip(BASELINES, ("method-random", "method-search"), strict=True))  # two greys


def download(frame: pd.DataFrame, name: str) -> Markup:
    """A link that holds a table as CSV."""
    address = "data:text/csv;charset=utf-8," + urllib.parse.quote(csv(frame))
    return element("a", "CSV", href=address, download=f"{name}.csv", class_="csv", title=f"The data as {name}.csv")


def figure(caption: Child, drawing: Child, data: pd.DataFrame, name: str) -> Markup:
    """A drawing with its caption and its data."""
    return element("figure", element("figcaption", element("span", caption), download(data, name)), drawing)


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """Method → the class that colours it in a whole report."""
    others = sorted(set(methods) - set(BASELINES))
    coloured = {method: f"method-{i % METHOD_COLOURS}" for i, method in enumerate(others)}
    return coloured | {method: colour for method, colour in BASELINE_COLOURS.items() if method in methods}
