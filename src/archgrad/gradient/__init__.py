"""Architecture gradients and weight gradients.

Architecture gradients: FirstOrder, Unrolled, ImplicitGradient, Fixed, and SingleLevel, FlatMinima and
RobustValidation, which wrap any of them.
Weight gradients: Plain, and LayerAlignment, Perturbed and Adversarial, which wrap any other.
"""

from archgrad.gradient.adversarial import Adversarial, RobustValidation
from archgrad.gradient.first_order import FirstOrder
from archgrad.gradient.fixed import Fixed
from archgrad.gradient.flat_minima import FlatMinima
from archgrad.gradient.implicit import ImplicitGradient
from archgrad.gradient.layer_alignment import LayerAlignment
from archgrad.gradient.perturbed import Perturbed
from archgrad.gradient.plain import Plain
from archgrad.gradient.single_level import SingleLevel
from archgrad.gradient.unrolled import Unrolled

__all__ = [
    "Adversarial",
    "FirstOrder",
    "Fixed",
    "FlatMinima",
    "ImplicitGradient",
    "LayerAlignment",
    "Perturbed",
    "Plain",
    "RobustValidation",
    "SingleLevel",
    "Unrolled",
]
