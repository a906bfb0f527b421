"""Architecture gradients and weight gradients.

Architecture gradients: FirstOrder, Unrolled, Fixed, and SingleLevel and FlatMinima, which wrap any of them.
Weight gradients: Plain, and LayerAlignment, which wraps any other.
"""

from archgrad.gradient.first_order import FirstOrder
from archgrad.gradient.fixed import Fixed
from archgrad.gradient.flat_minima import FlatMinima
from archgrad.gradient.layer_alignment import LayerAlignment
from archgrad.gradient.plain import Plain
from archgrad.gradient.single_level import SingleLevel
from archgrad.gradient.unrolled import Unrolled

__all__ = ["FirstOrder", "Fixed", "FlatMinima", "LayerAlignment", "Plain", "SingleLevel", "Unrolled"]
