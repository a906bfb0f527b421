"""How well scores rank architectures by measured accuracy and robustness."""

from archgrad.scoring.correlation.figure import heat_map
from archgrad.scoring.correlation.study import CorrelationInterval, Study, correlate
from archgrad.scoring.correlation.targets import CORRUPTIONS, Target, Targets, harmonic, targets_of

__all__ = [
    "CORRUPTIONS",
    "CorrelationInterval",
    "Study",
    "Target",
    "Targets",
    "correlate",
    "harmonic",
    "heat_map",
    "targets_of",
]
