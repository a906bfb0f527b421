"""Discretisations: alphas (and supernet) → genotype."""

from archgrad.discretise.random import BestOfRandom
from archgrad.discretise.strongest import Strongest

__all__ = ["BestOfRandom", "Strongest"]
