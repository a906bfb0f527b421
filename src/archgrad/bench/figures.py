"""Figures of a statistical report: each with its data, and methods in the same colours everywhere."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence

import pandas as pd

from archgrad.bench.tables import csv
from archgrad.figures.markup import Child, Markup, element

METHOD_COLOURS = 11  # in report.css
BASELINES = {"random_genotype": "method-random", "random_search": "method-search"}  # two greys


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
    return coloured | {method: colour for method, colour in BASELINES.items() if method in methods}
