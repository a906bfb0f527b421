"""Architecture gradients (FirstOrder, Unrolled, Fixed) and weight gradients (Plain)."""

from archgrad.gradient.first_order import FirstOrder
from archgrad.gradient.fixed import Fixed
from archgrad.gradient.plain import Plain
from archgrad.gradient.unrolled import Unrolled

__all__ = ["FirstOrder", "Fixed", "Plain", "Unrolled"]
