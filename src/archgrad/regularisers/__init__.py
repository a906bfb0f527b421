"""Regularisers: scalars added to the loss of the alpha step."""

from archgrad.regularisers.alpha_norm import AlphaNorm
from archgrad.regularisers.beta_decay import BetaDecay
from archgrad.regularisers.cost import Cost
from archgrad.regularisers.dirichlet_anchor import DirichletAnchor
from archgrad.regularisers.entropy import Entropy
from archgrad.regularisers.input_curvature import InputCurvature
from archgrad.regularisers.zero_one import ZeroOne

__all__ = ["AlphaNorm", "BetaDecay", "Cost", "DirichletAnchor", "Entropy", "InputCurvature", "ZeroOne"]
