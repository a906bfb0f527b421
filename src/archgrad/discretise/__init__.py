"""Discretisations: alphas (and supernet) → genotype."""

from archgrad.discretise.random import BestOfRandom
from archgrad.discretise.strongest import Strongest
from archgrad.discretise.threshold import Threshold

__all__ = ["BestOfRandom", "Strongest", "Threshold"]
