"""archgrad: gradient-based neural architecture search as compositions of small components."""

from archgrad.choice import Choice, InputChoice
from archgrad.comparison import load
from archgrad.errors import ArchgradError, ArchgradWarning
from archgrad.genotype import Genotype
from archgrad.method import Method
from archgrad.mixture import Mixture
from archgrad.search import SearchResult, search
from archgrad.supernet import Supernet
from archgrad.train import train

__version__ = "0.1.0"

__all__ = [
    "ArchgradError",
    "ArchgradWarning",
    "Choice",
    "Genotype",
    "InputChoice",
    "Method",
    "Mixture",
    "SearchResult",
    "Supernet",
    "load",
    "search",
    "train",
]
