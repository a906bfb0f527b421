"""Options of the command line that are fields of a space: ``archgrad search --space darts --stem imagenet``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, get_type_hints

from archgrad import spaces
from archgrad.cli.arguments import named, standing, switched
from archgrad.cli.output import HELP as HELP_OF_OUTPUT
from archgrad.cli.parser import may_stand
from archgrad.options import explained, gathers, option
from archgrad.runs import CONFIG, Run
from archgrad.spaces import Space

HELP = {
    "channels": "channels of the first cell; null is the published number",
    "cells": "cells, of one stage where there are stages; null is the published number",
}


def with_fields(function: Callable[..., None], arguments: Sequence[str]) -> Callable[..., None]:
    """The command with an option for every field of the space that it is about, in the place of its ``**fields``.

    The space is that of the run directory among the arguments, or the one named there or in a configuration file, or
    the command's usual one. The command is told what differs from it.
    """
    parameters = inspect.signature(function).parameters
    if "fields" not in parameters:
        return function
    about, defaults, types = _fields(function, arguments)
    options = {name: option(name, types[name], value) for name, value in defaults.items() if name not in parameters}

    @wraps(function)
    def changed(**given: Any) -> None:
        for name in options:
            value = given.pop(name)
            value = tuple(value) if isinstance(value, list) else value
            if value != defaults[name]:
                given[name] = value
        function(**given)

    changed.__doc__ = explained(function.__doc__, {name: HELP.get(name, f"a field of {about}") for name in options})
    return gathers(fields=options)(changed)


def _fields(function: Callable[..., None], arguments: Sequence[str]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The name of the space that is meant, and its fields by name: their values and their types."""
    parameters = inspect.signature(function).parameters
    if "space" not in parameters:
        return "", {"channels": None, "cells": None}, get_type_hints(Space)
    hints = {**get_type_hints(function), **dict.fromkeys((*HELP_OF_OUTPUT, "trust"), bool)}
    switches = {f"--{name.rstrip('_')}" for name, hint in hints.items() if hint is bool}
    stands = standing(switched(arguments, switches)) if may_stand(function) else None
    about = (
        named(arguments, "genotype") if "genotype" in parameters and "genotype" not in may_stand(function) else stands
    )
    space = _space(stands, about or "", named(arguments, "space") or parameters["space"].default)
    return ("", {}, {}) if space is None else (space.name, space.fields, get_type_hints(type(space)))


def _space(directory: str | None, genotype: str, name: str | None) -> Space | None:
    """The space of a run directory or of a genotype; None for a user's own network, which has no fields."""
    if directory and os.path.isfile(os.path.join(directory, CONFIG)):
        config = Run.open(directory).config
        return spaces.recorded(config) if config.get("space") in spaces.SPACES else None
    return None if name and ":" in name else spaces.of_genotype(genotype, name)
