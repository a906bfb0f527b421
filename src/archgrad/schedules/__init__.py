"""Schedules: what happens between the steps and epochs of a search."""

from archgrad.schedules.diagnose import Diagnose
from archgrad.schedules.early_stop import EarlyStop
from archgrad.schedules.operation_freeze import OperationFreeze
from archgrad.schedules.partial_training import PartialTraining
from archgrad.schedules.progressive_depth import ProgressiveDepth
from archgrad.schedules.progressive_pruning import ProgressivePruning
from archgrad.schedules.warm_up import WarmUp
from archgrad.schedules.weight_decay_ramp import WeightDecayRamp

__all__ = [
    "Diagnose",
    "EarlyStop",
    "OperationFreeze",
    "PartialTraining",
    "ProgressiveDepth",
    "ProgressivePruning",
    "WarmUp",
    "WeightDecayRamp",
]
