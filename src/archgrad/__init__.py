"""archgrad: gradient-based neural architecture search as compositions of small components.

Everything public is imported when it is first used, so that `import archgrad` costs nothing.
"""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if sys.argv[:1] == ["-m"] and "archgrad" in sys.orig_argv and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    del sys.path[0]  # python -m archgrad: no file of the current directory stands in for an installed package

if TYPE_CHECKING:
    from archgrad.callbacks import Callback
    from archgrad.choice import Choice, InputChoice
    from archgrad.comparison import load
    from archgrad.errors import ArchgradError, ArchgradWarning
    from archgrad.foreign.code import trusting
    from archgrad.genotype import Genotype
    from archgrad.method import Method
    from archgrad.mixture import Mixture
    from archgrad.model import Model, create_model
    from archgrad.publishing import push
    from archgrad.search import SearchResult, search
    from archgrad.supernet import Supernet
    from archgrad.tasks import Task
    from archgrad.train import train

__version__ = "0.1.0"

_PLACES = {
    "ArchgradError": "errors",
    "ArchgradWarning": "errors",
    "Callback": "callbacks",
    "Choice": "choice",
    "Genotype": "genotype",
    "InputChoice": "choice",
    "Method": "method",
    "Mixture": "mixture",
    "Model": "model",
    "SearchResult": "search",
    "Supernet": "supernet",
    "Task": "tasks",
    "create_model": "model",
    "load": "comparison",
    "push": "publishing",
    "search": "search",
    "train": "train",
    "trusting": "foreign.code",
}
"""What is public, and the module that has it."""


def __getattr__(name: str) -> Any:
    """Something public, or a module, imported now."""
    if name in _PLACES:
        found = getattr(import_module(f"archgrad.{_PLACES[name]}"), name)
        globals()[name] = found
        return found
    if name.isidentifier() and not name.startswith("_") and find_spec(f"archgrad.{name}") is not None:
        return import_module(f"archgrad.{name}")
    raise AttributeError(f"module 'archgrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})


class _Package(ModuleType):
    """The package, in which `search` and `train` stay functions when the modules of these names are imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

__all__ = [
    "ArchgradError",
    "ArchgradWarning",
    "Callback",
    "Choice",
    "Genotype",
    "InputChoice",
    "Method",
    "Mixture",
    "Model",
    "SearchResult",
    "Supernet",
    "Task",
    "create_model",
    "load",
    "push",
    "search",
    "train",
    "trusting",
]
