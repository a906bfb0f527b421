"""The options ``--json``, ``--verbose`` and ``--quiet`` of every command."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

from archgrad import console
from archgrad.errors import ArchgradError
from archgrad.options import explained, option
from archgrad.ranks import first_of_all, first_of_machine

HELP = {
    "json_": "print the result as one JSON document, and nothing else",
    "verbose": "also say what is done in between",
    "quiet": "say nothing on the way but warnings and mistakes",
}


def with_output(function: Callable[..., None], handler: logging.Handler) -> Callable[..., None]:
    """The command with the three options; ``handler``: what writes the log."""
    own = inspect.signature(function).parameters

    @wraps(function)
    def telling(*, json_: bool = False, verbose: bool = False, quiet: bool = False, **given: Any) -> None:
        if verbose and quiet:
            raise ArchgradError("--verbose and --quiet exclude each other")
        if first_of_machine():
            handler.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
        if quiet and "progress" in given:
            given["progress"] = False
        with console.as_json(json_ and first_of_all()):
            function(**given)

    telling.__doc__ = explained(function.__doc__, HELP)
    options = [option(name, bool, False) for name in HELP]
    telling.__signature__ = inspect.Signature([*own.values(), *options])  # type: ignore[attr-defined]
    telling.__annotations__ = {**get_type_hints(function), **dict.fromkeys(HELP, bool)}
    return telling


def handled_level() -> int:
    """The level of the log before the command is known: the processes of a machine say each thing once."""
    return logging.INFO if first_of_machine() else logging.CRITICAL
