"""How a cell's choices are computed.

The executors compute the same thing from the same parameters: ``plain`` is the formula as a loop, ``loop`` fuses it for
CPUs, ``batched`` needs few kernels. `mixed_sum` and `depthwise_conv` are useful without the rest.
"""

from archgrad.engine.cell import Cell, Rule, SettledCell, Standard
from archgrad.engine.executor import EXECUTORS, forced
from archgrad.kernels import depthwise_conv, mixed_sum

__all__ = ["EXECUTORS", "Cell", "Rule", "SettledCell", "Standard", "depthwise_conv", "forced", "mixed_sum"]
