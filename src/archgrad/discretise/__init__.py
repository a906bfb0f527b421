"""Discretisations: alphas (and supernet) → genotype."""

from archgrad.discretise.edge_normalised import EdgeNormalised
from archgrad.discretise.perturbation import Perturbation
from archgrad.discretise.random import BestOfRandom
from archgrad.discretise.ranked import Ranked
from archgrad.discretise.sampled import Sampled
from archgrad.discretise.skip_limit import SkipLimit
from archgrad.discretise.strongest import Strongest
from archgrad.discretise.threshold import Threshold

__all__ = [
    "BestOfRandom",
    "EdgeNormalised",
    "Perturbation",
    "Ranked",
    "Sampled",
    "SkipLimit",
    "Strongest",
    "Threshold",
]
