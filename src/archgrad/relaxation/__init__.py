"""Relaxations: alphas → mixture."""

from archgrad.relaxation.composite import Composite
from archgrad.relaxation.dirichlet import Dirichlet
from archgrad.relaxation.gumbel_softmax import GumbelSoftmax
from archgrad.relaxation.random_path import RandomPath
from archgrad.relaxation.reinmax import ReinMax
from archgrad.relaxation.sigmoid import Sigmoid
from archgrad.relaxation.softmax import Softmax
from archgrad.relaxation.straight_through_gumbel import StraightThroughGumbel

__all__ = [
    "Composite",
    "Dirichlet",
    "GumbelSoftmax",
    "RandomPath",
    "ReinMax",
    "Sigmoid",
    "Softmax",
    "StraightThroughGumbel",
]
