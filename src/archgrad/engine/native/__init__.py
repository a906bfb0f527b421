"""Kernels in C++ for the cells of image networks, and the executor that calls them."""

from archgrad.engine.native.executor import native
from archgrad.engine.native.library import available

__all__ = ["available", "native"]
