"""The parser of every command."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import jsonargparse

from archgrad.cli.arguments import switched


def may_stand(function: Callable[..., Any]) -> list[str]:
    """The parameters of a command that may be left out, and stand without their name where they are given.

    As in Python they are those that are not keyword-only.
    """
    parameters = inspect.signature(function).parameters.items()
    return [n for n, p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty]


def rows(function: Callable[..., Any]) -> dict[str, str]:
    """The parameters of a command that are words in a row, such as files: one or more ``+``, or also none ``*``."""
    hints, parameters = get_type_hints(function), inspect.signature(function).parameters
    return {
        n: "+" if p.default is p.empty else "*"
        for n, p in parameters.items()
        if p.kind is p.POSITIONAL_OR_KEYWORD and hints.get(n) in (list[str], list[str] | None)
    }


class Parser(jsonargparse.ArgumentParser):
    """jsonargparse's parser, which also takes ``train RUN`` where RUN has a default, ``--cost`` and ``--from``."""

    standing: tuple[str, ...] = ()
    rows: dict[str, str] = {}  # noqa: RUF012  # replaced, never changed

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def parse_args(  # type: ignore[override]  # argparse's overloads say no more than this
        self, args: Sequence[str] | None = None, *others: Any, **kwargs: Any
    ) -> Any:
        """Parse; what follows ``--json`` is its value only if it is one, so that ``compare --json RUN`` names a run."""
        switches = [action for action in self._actions if action.nargs == "?" and action.const is True]
        names = {name for action in switches for name in action.option_strings}
        return super().parse_args(None if args is None else switched(args, names), *others, **kwargs)

    def add_function_arguments(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> list[str]:
        """Add the parameters of a command. Their values are no names of further configuration files."""
        kwargs["sub_configs"] = False
        self.standing = (*self.standing, *may_stand(function))
        self.rows = self.rows | rows(function)
        added: list[str] = super().add_function_arguments(function, *args, **kwargs)
        return added

    def add_argument(self, *args: Any, **kwargs: Any) -> Any:
        """Add one of them, in the form in which it is typed."""
        name = args[0].removeprefix("--")
        # jsonargparse lends this method to its groups, which have neither
        if count := getattr(self, "rows", {}).get(name):
            args = (name,)
            none = {"default": argparse.SUPPRESS} if count == "*" else {}
            kwargs = {"nargs": count, "metavar": name.upper(), "help": kwargs.get("help"), **none}
        elif name in getattr(self, "standing", ()):
            args = (name,)
            kwargs |= {"nargs": "?", "default": argparse.SUPPRESS}  # a default would overrule a configuration file
        elif name.endswith("_"):  # a word of Python's own, such as from_
            args = (args[0].rstrip("_"),)
            kwargs |= {"dest": name, "metavar": name.rstrip("_").upper()}
        if kwargs.get("type") is bool:
            kwargs |= {"nargs": "?", "const": True}
        return super().add_argument(*args, **kwargs)
