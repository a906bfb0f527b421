"""Python code that a file names: it is imported only if it is archgrad's own, or if the user says ``--trust``.

What a user types on the command line, or writes in Python, names code as well; whoever does so wants it run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError

FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""``package.module:name``."""

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""``package.module.Class``."""

OWN = re.compile(
    r"archgrad\.(attacks|discretise|gradient|modifiers|regularisers|relaxation|schedules)(\.[a-z_]\w*)*\.[A-Z]\w*"
)
"""The library's components: classes of the packages that hold nothing else, so that importing them does nothing."""

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """Import and run, in the body, what files name; with False all stays as it is."""
    token = _trusted.set(_trusted.get() or trust)
    try:
        yield
    finally:
        _trusted.reset(token)


def trusted() -> bool:
    """Whether code that files name is run."""
    return _trusted.get()


def may_run(name: str) -> bool:
    """Whether code of that name is imported where a file names it."""
    return trusted() or OWN.fullmatch(name) is not None


def require_trusted(names: Sequence[str], where: str) -> None:
    """Refuse to go on with what a file names, unless it may run. ``where``: the file."""
    refused = list(dict.fromkeys(name for name in names if not may_run(name)))
    if refused:
        raise ArchgradError(
            f"{where} names code that would be imported and run: {', '.join(refused)}; "
            "look at it, and say --trust if you trust it"
        )


def named(data: Any, classes: Sequence[str] = (), functions: Sequence[str] = ()) -> list[str]:
    """The code that plain data name.

    ``class_path`` names code wherever it stands; so do the keys ``classes`` (``package.module.Class``) and
    ``functions`` (``package.module:name``).
    """
    found: list[str] = []
    if isinstance(data, Mapping):
        for key, value in data.items():
            pattern = DOTTED if key == "class_path" or key in classes else FUNCTION if key in functions else None
            for text in value if isinstance(value, list | tuple) else [value]:
                if isinstance(text, str) and pattern is not None and pattern.fullmatch(text):
                    found.append(text)
            found += named(value, classes, functions)
    elif isinstance(data, list | tuple):
        for value in data:
            found += named(value, classes, functions)
    return found


def imported(name: str, where: str) -> Any:
    """What ``package.module:name`` or ``package.module.Name`` names; ArchgradError if there is none."""
    module, _, attribute = name.rpartition(":" if ":" in name else ".")
    make_reachable(module)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArchgradError(f"{where}: {name} cannot be imported ({' '.join(str(error).split())})") from None


def make_reachable(module: str) -> None:
    """Let a module that a user names be found in the current directory, where it is installed nowhere.

    The directory comes last on the path, so that no file in it stands in for an installed package.
    """
    top, here = module.partition(".")[0], os.getcwd()
    if here in sys.path or not (Path(f"{top}.py").is_file() or Path(top).is_dir()):
        return
    try:
        installed = importlib.util.find_spec(top) is not None
    except ValueError:  # a module without a specification, such as __main__
        installed = True
    if not installed:
        sys.path.append(here)
