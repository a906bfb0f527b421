"""Python code that a file names: it is imported only if it is archgrad's own, or if the user says ``--trust``.

What a user types on the command line, or writes in Python, names code as well; whoever does so wants it run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from archgrad.errors import ArchgradError, unknown

FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
"""``package.module:name``."""

DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
"""``package.module.Class``."""

OWN = re.compile(
    r"archgrad\.(anneal|attacks|discretise|gradient|modifiers|regularisers|relaxation|robustness|schedules)(\.[a-z_]\w*)*\.[A-Z]\w*"
)
"""The library's components: classes of the packages that hold nothing else, so that importing them does nothing.

And `archgrad.anneal.Anneal`, which many of them take for a number.
"""

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


def refused(names: Sequence[str]) -> list[str]:
    """Those that are not run."""
    return [name for name in dict.fromkeys(names) if not may_run(name)]


def require_trusted(names: Sequence[str], where: str) -> None:
    """Refuse to go on with what a file names, unless it may run. ``where``: the file."""
    if strange := refused(names):
        raise ArchgradError(
            f"{where} names code that would be imported and run: {', '.join(strange)}; "
            "look at it, and say --trust if you trust it"
        )


def named(data: Any, classes: Collection[str] = (), functions: Collection[str] = ()) -> list[str]:
    """The code that plain data name.

    ``classes``: keys under which every ``package.module.Class`` is one, however deep; a key that ends in ``class_path``
    always is. ``functions``: keys whose value may be ``package.module:name``. Keys may be written ``a.b.c``.
    """
    if isinstance(data, str):
        return []
    if not isinstance(data, Mapping):
        return [name for part in data for name in named(part, classes, functions)] if isinstance(data, list) else []
    found: list[str] = []
    for key, value in data.items():
        parts = str(key).split(".")
        if "class_path" in parts or not set(parts).isdisjoint(classes):
            found += [text for text in _texts(value) if DOTTED.fullmatch(text)]
        else:
            if not set(parts).isdisjoint(functions):
                found += [text for text in _texts(value) if FUNCTION.fullmatch(text)]
            found += named(value, classes, functions)
    return list(dict.fromkeys(found))


def _texts(value: Any) -> list[str]:
    """All text in plain data, however deep."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return [text for part in parts for text in _texts(part)]


def imported(name: str, where: str) -> Any:
    """What ``package.module:name`` or ``package.module.Name`` names; ArchgradError if there is none."""
    module, _, attribute = name.rpartition(":" if ":" in name else ".")
    make_reachable(module)
    try:
        found = importlib.import_module(module)
    except (ImportError, ValueError) as error:
        raise ArchgradError(f"{where}: {name} cannot be imported ({' '.join(str(error).split())})") from None
    if not hasattr(found, attribute):
        callables = [known for known, value in vars(found).items() if callable(value) and not known.startswith("_")]
        raise unknown(f"name in {module}", attribute, callables)
    return getattr(found, attribute)


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
