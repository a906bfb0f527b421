"""The roles that a method is composed of, as templates: a component writes its formula.

Components are frozen dataclasses: configuration only. What one must remember between steps it keeps in
``context.memory``, which belongs to it alone and is part of every checkpoint.
"""

from archgrad.roles.discretisation import Discretisation, Groupwise, Score
from archgrad.roles.gradient import ArchitectureGradient, WeightGradient
from archgrad.roles.modifier import Modifier
from archgrad.roles.regulariser import MeanOverEdges, Regulariser, SumOverEdges
from archgrad.roles.relaxation import Now, Per, Relaxation
from archgrad.roles.schedule import Schedule

__all__ = [
    "ArchitectureGradient",
    "Discretisation",
    "Groupwise",
    "MeanOverEdges",
    "Modifier",
    "Now",
    "Per",
    "Regulariser",
    "Relaxation",
    "Schedule",
    "Score",
    "SumOverEdges",
    "WeightGradient",
]
