"""Options of the command line that are fields of a space: ``archgrad search --space darts --stem imagenet``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from archgrad import spaces
from archgrad.runs import CONFIG, Run
from archgrad.spaces import Space

HELP = {
    "channels": "channels of the first cell; null is the published number",
    "cells": "cells, of one stage where there are stages; null is the published number",
}


def with_fields(function: Callable[..., Any], arguments: Sequence[str]) -> Callable[..., Any]:
    """The command with an option for every field of the space that it is about, in the place of its ``**fields``.

    The space is that of the run directory among the arguments, or the one named there or in a configuration file, or
    the command's usual one. The command is told what differs from it.
    """
    parameters = dict(inspect.signature(function).parameters)
    if "fields" not in parameters:
        return function
    about, defaults, types = _fields(parameters, arguments)
    hints = get_type_hints(function)
    del parameters["fields"]
    own = {name: parameter.replace(annotation=hints[name]) for name, parameter in parameters.items()}
    defaults = {name: value for name, value in defaults.items() if name not in own}
    added = {
        name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=types[name])
        for name, value in defaults.items()
    }

    def command(*args: Any, **given: Any) -> Any:
        fields = {name: given.pop(name) for name in defaults if name in given}
        fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        return function(*args, **given, **{name: value for name, value in fields.items() if value != defaults[name]})

    command.__name__, command.__module__ = function.__name__, function.__module__
    lines = [f"        {name}: {HELP.get(name, f'a field of {about}')}" for name in added]
    command.__doc__ = "\n".join([(function.__doc__ or "").rstrip(), *lines])
    command.__signature__ = inspect.Signature([*own.values(), *added.values()])  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in (own | added).items()}
    return command


def _fields(
    parameters: dict[str, inspect.Parameter], arguments: Sequence[str]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of the space that is meant, and its fields by name: their values and their types."""
    if "space" not in parameters:
        return "", {"channels": None, "cells": None}, get_type_hints(Space)
    space = _space(parameters, arguments)
    return ("", {}, {}) if space is None else (space.name, space.fields, get_type_hints(type(space)))


def _space(parameters: dict[str, inspect.Parameter], arguments: Sequence[str]) -> Space | None:
    """The space that is meant; None for a user's own network, which has no fields."""
    for option in ("run", "genotype"):
        directory = _given(arguments, option) if option in parameters else None
        if directory and (Path(directory) / CONFIG).is_file():
            config = Run.open(directory).config
            return spaces.recorded(config) if config.get("space") in spaces.SPACES else None
    name = _given(arguments, "space") or _configured(arguments) or parameters["space"].default
    return None if ":" in name else spaces.get(name)


def _given(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option as it was typed, the last one if there are several."""
    found = None
    for argument, after in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == f"--{option}":
            found = after
        elif argument.startswith(f"--{option}="):
            found = argument.partition("=")[2]
    return found


def _configured(arguments: Sequence[str]) -> str | None:
    """The space that a configuration file names; the parser complains of files that cannot be read."""
    path = _given(arguments, "config")
    try:
        found = yaml.safe_load(Path(path).read_text()) if path else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    name = found.get("space") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None
