"""Relaxations: alphas → mixture."""

from archgrad.relaxation.random_path import RandomPath
from archgrad.relaxation.softmax import Softmax

__all__ = ["RandomPath", "Softmax"]
