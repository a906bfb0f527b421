"""How well scores rank architectures by measured accuracy and robustness."""

from archgrad.proxies.correlation.figure import heat_map
from archgrad.proxies.correlation.study import Interval, Study, correlate
from archgrad.proxies.correlation.targets import CORRUPTIONS, Target, Targets, harmonic, targets_of

__all__ = ["CORRUPTIONS", "Interval", "Study", "Target", "Targets", "correlate", "harmonic", "heat_map", "targets_of"]
