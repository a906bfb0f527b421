"""The configuration of the run."""

from __future__ import annotations

from archgrad.figures.markup import element, table
from archgrad.report.rundata import RunData
from archgrad.report.section import Section, note
from archgrad.rundir import CONFIG
from archgrad.summary import flat


def settings(data: RunData) -> Section:
    """Every setting as a dotted name and its value."""
    if not data.config:
        reason = data.problems.get(CONFIG, f"{CONFIG} is missing or empty")
        return Section("Configuration", note(f"The settings cannot be shown: {reason}"))
    rows = [[name, element("code", value)] for name, value in flat(data.config)]
    return Section("Configuration", table(["Setting", "Value"], rows))
