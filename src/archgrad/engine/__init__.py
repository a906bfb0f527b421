"""How a cell's choices are computed.

The executors compute the same thing from the same parameters: ``plain`` is the formula as a loop.
"""

from archgrad.engine.cell import Cell, SettledCell
from archgrad.engine.executor import EXECUTORS

__all__ = ["EXECUTORS", "Cell", "SettledCell"]
