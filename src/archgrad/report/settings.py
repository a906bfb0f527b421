"""The configuration of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archgrad.figures.markup import element, table
from archgrad.report.rundata import RunData
from archgrad.report.section import Section, note
from archgrad.runs import CONFIG


def settings(data: RunData) -> Section:
    """Every setting as a dotted name and its value."""
    if not data.config:
        reason = data.problems.get(CONFIG, f"{CONFIG} is missing or empty")
        return Section("Configuration", note(f"The settings cannot be shown: {reason}"))
    rows = [[name, element("code", value)] for name, value in flat(data.config)]
    return Section("Configuration", table(["Setting", "Value"], rows))


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, value as YAML would show it); a component is shown as its class and fields."""
    if isinstance(value, dict) and "class_path" in value:
        yield name, str(value["class_path"])
        fields = value.get("init_args")
        yield from flat(fields, name) if fields else ()
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for i, item in enumerate(value):
            yield from flat(item, f"{name}[{i}]")
    elif value is None or isinstance(value, bool):
        yield name, {None: "null", True: "true", False: "false"}[value]
    elif isinstance(value, list):
        yield name, ", ".join(str(item) for item in value) or "[]"
    else:
        yield name, str(value)
