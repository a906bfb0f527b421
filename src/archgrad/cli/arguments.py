"""What arguments tell before there is a parser for them: options depend on the space and the method that are meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml


def named(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option as it was typed, the last one if there are several, or in a configuration file."""
    return _typed(arguments, option) or _configured(arguments, option)


def standing(arguments: Sequence[str]) -> str | None:
    """The first argument that is neither an option nor the value of one."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument.startswith("-") and ("=" in before or not before.startswith("--")):
            return argument
    return None


def _typed(arguments: Sequence[str], option: str) -> str | None:
    found = None
    for argument, after in zip(arguments, [*arguments[1:], None], strict=False):
        if argument == f"--{option}":
            found = after
        elif argument.startswith(f"--{option}="):
            found = argument.partition("=")[2]
    return found


def _configured(arguments: Sequence[str], option: str) -> str | None:
    """The parser complains of files that cannot be read."""
    path = _typed(arguments, "config")
    try:
        found = yaml.safe_load(Path(path).read_text()) if path else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    value = found.get(option) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None
