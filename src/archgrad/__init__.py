"""archgrad: gradient-based neural architecture search as compositions of small components."""

import os
import sys
from importlib import import_module
from types import ModuleType

if sys.argv[:1] == ["-m"] and "archgrad" in sys.orig_argv and not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
    del sys.path[0]  # python -m archgrad: no file of the current directory stands in for an installed package

from archgrad.choice import Choice, InputChoice
from archgrad.comparison import load
from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.foreign.code import trusting
from archgrad.genotype import Genotype
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.model import Model
from archgrad.search import SearchResult, search
from archgrad.supernet import Supernet
from archgrad.tasks import Task
from archgrad.train import train

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """Packages that are imported when they are first used, so that a search starts without them."""
    if name in ("bench", "landscape", "proxies", "robustness", "scoring", "tables"):
        return import_module(f"archgrad.{name}")
    raise AttributeError(f"module 'archgrad' has no attribute {name!r}")


__all__ = [
    "ArchgradError",
    "ArchgradWarning",
    "Choice",
    "Genotype",
    "InputChoice",
    "Method",
    "Mixture",
    "Model",
    "SearchResult",
    "Supernet",
    "Task",
    "load",
    "search",
    "train",
    "trusting",
]
