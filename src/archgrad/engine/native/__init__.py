"""Kernels in C++ for the cells of image networks, and the executor that calls them."""

from archgrad.engine.native.executor import known_of, native, recomputes
from archgrad.engine.native.library import available

__all__ = ["available", "known_of", "native", "recomputes"]
