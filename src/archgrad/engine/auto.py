"""Which executor is the fastest on a CPU: a rule from measurements (``benchmarks/auto.py``), by shapes alone.

It never asks a clock, so that a run and its repetition take the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from archgrad.engine.graph import Graph
from archgrad.engine.native.executor import fits
from archgrad.engine.native.recipe import Geometry, Recipe
from archgrad.engine.usage import usage

FEW = 4
"""Operations below which calling the kernels takes what they save."""
MANY = 16
"""Operations from which stacking them takes less than it saves."""
WIDE = 64
"""Channels from which torch's convolutions of more than one pixel are faster than those of ``native``."""
SMALL = 2**14
"""Values of a map up to which calling operators takes longer than what they compute: few are then faster."""
MEDIUM = 2**16
"""The same for the one call of ``native``; below, ``loop`` saves less than its many calls take."""


def fastest(graph: Graph, inputs: Sequence[Tensor], known: Mapping[int, Recipe]) -> str:
    """The executor for a cell; ``known``: which of its flows are declared to the last detail.

    ``native`` gains by depthwise convolutions everywhere, and by pools, BNs and narrow convolutions where an edge has
    several candidates or maps are small, but not in cells of few operations. Otherwise nothing is gained on one
    operation per edge, or on wide convolutions; elsewhere small maps want few operators, and depthwise convolutions on
    large ones are faster in ``loop``.
    """
    blocks = [block for recipe in known.values() for block in recipe.shape.blocks]
    depthwise = any(block.depthwise is not None for block in blocks)
    wide = any(_spatial(block.dense) and block.channels_in >= WIDE for block in blocks)
    crowded = len(graph.flows) > len({flow.edge for flow in graph.flows})
    values = inputs[0].numel()
    gains = not wide and (depthwise or crowded or values <= MEDIUM)
    enough = len(known) >= FEW and 2 * len(known) > len(graph.flows)
    if enough and gains and fits(inputs) and usage().has_native():
        return "native"
    if not crowded or wide:
        return "plain"
    if values <= SMALL and len(graph.flows) >= MANY:
        return "batched"
    return "loop" if depthwise and values >= MEDIUM else "plain"


def _spatial(where: Geometry | None) -> bool:
    """Whether a convolution of all channels reads several pixels; a factorised reduction reads one for each output."""
    return where is not None and not where.diagonal and where.rows * where.columns > 1
