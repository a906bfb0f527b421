"""The command ``archgrad completion``."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from archgrad import console
from archgrad.cli.output import HELP as OUTPUT
from archgrad.errors import ArchgradError, unknown

FILES = ("file", "files", "config", "folder", "from", "inherit", "source", "sources", "scores")
DIRECTORIES = ("run", "out", "campaign", "directory")
"""Parameters that are paths."""


def completion(shell: str = "bash") -> None:
    """Print a script that completes commands, options and names as one types them.

    Args:
        shell: bash, zsh, fish or tcsh
    """
    try:
        import shtab
    except ImportError:
        raise ArchgradError("completion: shtab is not installed: pip install 'archgrad[shell]'") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise unknown("shell", shell, shtab.SUPPORTED_SHELLS)
    script = shtab.complete(_parser(), shell)
    console.say(script.rstrip())
    console.give(shell=shell, script=script)


def _parser() -> argparse.ArgumentParser:
    """All commands with the options that they have for the usual space and method."""
    from archgrad.cli.program import COMMANDS, loaded

    parser = argparse.ArgumentParser("archgrad", description="Gradient-based neural architecture search.")
    below, choices = parser.add_subparsers(), _choices()
    for name, entry in COMMANDS.items():
        _add_command(below.add_parser(name, help=entry.help), loaded(entry), choices)
    return parser


def _add_command(parser: argparse.ArgumentParser, command: Any, choices: Mapping[str, Iterable[str]]) -> None:
    """The options of a command, or the commands of a group."""
    if not isinstance(command, Mapping):
        _add_options(parser, command, choices)
        return
    below = parser.add_subparsers()
    for name, inner in command.items():  # a parser without help is not completed
        _add_command(below.add_parser(name, help=(inner.__doc__ or "").strip().split("\n")[0]), inner, choices)


def _add_options(
    parser: argparse.ArgumentParser, command: Callable[..., Any], choices: Mapping[str, Iterable[str]]
) -> None:
    import shtab

    from archgrad.cli.program import with_options

    parameters = inspect.signature(with_options(command, [])).parameters.values()
    for parameter in [
        *parameters,
        *(inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in (*OUTPUT, "config")),
    ]:
        name = parameter.name.rstrip("_")
        stands = parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        action = parser.add_argument(name if stands else f"--{name}", choices=choices.get(name))
        paths = shtab.DIRECTORY if name in DIRECTORIES else shtab.FILE if name in FILES else None
        if paths and not action.choices:
            action.complete = paths  # type: ignore[attr-defined]


def _choices() -> dict[str, list[str]]:
    """What may stand behind an option, where that is one of a few names."""
    from archgrad import data, export, methods, proxies, recipes, spaces, tracking
    from archgrad.cli.listing import SECTIONS

    return {
        "space": list(spaces.SPACES),
        "genotype": list(spaces.zoo.published()),
        "method": [*methods.names(), *proxies.library.names()],
        "proxy": proxies.library.names(),
        "data": list(data.NAMES),
        "recipe": list(recipes.RECIPES),
        "format": list(export.FORMATS),
        "track": list(tracking.TRACKERS),
        "section": list(SECTIONS),
        "changed": ["refuse", "accept"],
        "unreadable": ["refuse", "skip"],
        "mixed_precision": ["no", "bf16"],
        "split": ["test", "train"],
        "shell": ["bash", "zsh", "fish", "tcsh"],
    }
