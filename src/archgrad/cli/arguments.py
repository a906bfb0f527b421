"""What arguments tell before there is a parser for them: options depend on the space and the method that are meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError
from archgrad.foreign import code, plain

FUNCTIONS = ("space", "data", "method")
"""Options that may be ``package.module:function``."""
ROLES = (
    "relaxation",
    "architecture_gradient",
    "weight_gradient",
    "modifiers",
    "regularisers",
    "schedules",
    "discretisation",
)
"""The names of `archgrad.method.ROLES`, which a command that needs no networks is not to import."""


def named(arguments: Sequence[str], option: str) -> str | None:
    """The value of an option as it was typed, the last one if there are several, or in a configuration file."""
    typed = list(_typed(arguments, option))
    return typed[-1] if typed else _configured(arguments, option)


VALUES = frozenset({"true", "false", "yes", "no", "null"})
"""Of a switch, which may stand alone."""


def switched(arguments: Sequence[str], switches: Collection[str]) -> list[str]:
    """The arguments with the value of every switch that stands alone, whatever follows it.

    >>> switched(["--json", "run", "--cost", "false"], {"--json", "--cost"})
    ['--json=true', 'run', '--cost', 'false']
    """
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    return [f"{a}=true" if a in switches and after.lower() not in VALUES else a for a, after in pairs]


def standing(arguments: Sequence[str]) -> str | None:
    """The first argument that is neither an option nor the value of one."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument.startswith("-") and ("=" in before or not before.startswith("--")):
            return argument
    return None


def require_trusted(arguments: Sequence[str]) -> None:
    """Refuse configuration files that name code, unless ``--trust`` stands among the arguments.

    What is typed is what the user wants run. Modules of either are looked for in the current directory too.
    """
    for path, settings in _configurations(arguments):
        if key := _typed_only(settings):
            raise ArchgradError(f"--config: {path}: {key} does not belong into a file: type --{key} instead")
        names = code.named(settings, classes=ROLES, functions=FUNCTIONS)
        if not trusts(arguments):
            code.require_trusted(names, path)
        for name in names:
            code.make_reachable(name)
    for option in (*FUNCTIONS, *ROLES):
        for value in _typed(arguments, option, below=True):
            for name in re.findall(r"(?<!\w)[A-Za-z_]\w*+(?=[.:]\w)", value):
                code.make_reachable(name)


def trusts(arguments: Sequence[str]) -> bool:
    """Whether ``--trust`` stands among the arguments."""
    return any(value not in ("false", "False", "no") for value in _typed(arguments, "trust"))


def _typed_only(settings: Any) -> str | None:
    """The first key of a configuration, however deep, that decides what else is read or run."""
    for key, value in settings.items() if isinstance(settings, dict) else ():
        last = str(key).split(".")[-1]
        if last in ("config", "trust") and value not in (None, False):
            return last
        if found := _typed_only(value):
            return found
    return None


def _typed(arguments: Sequence[str], option: str, below: bool = False) -> Iterator[str]:
    """The values of an option, one after the other. ``below``: of its parts as well, such as ``--option.part``."""
    pattern = re.compile(rf"--{option}" + (r"[.+\w]*" if below else ""))
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=False):
        name, equals, value = argument.partition("=")
        if pattern.fullmatch(name):
            yield value if equals else after


def _configured(arguments: Sequence[str], option: str) -> str | None:
    """The value in the last configuration file that has one."""
    found = [settings[option] for _, settings in _configurations(arguments) if isinstance(settings.get(option), str)]
    return found[-1] if found else None


def _configurations(arguments: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configuration files among the arguments, and what they hold; one that cannot be read is an ArchgradError."""
    for path in _typed(arguments, "config"):
        try:
            yield path, plain.read(Path(path))
        except ArchgradError as error:
            raise ArchgradError(f"--config: {error}") from None
