"""Which executor is the fastest on a CPU: a rule from measurements (``benchmarks/auto.py``), by shapes alone.

It never asks a clock, so that a run and its repetition take the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from archgrad.engine.graph import Graph, filled
from archgrad.engine.native.executor import fits
from archgrad.engine.native.recipe import Kind, Recipe
from archgrad.engine.usage import usage

FEW = 4
"""Operations below which calling the kernels takes what they save."""
MANY = 16
"""Operations from which stacking them takes less than it saves."""
WIDE = 64
"""Channels from which torch's convolutions of more than one pixel are faster than those of ``native``."""
NARROW = 32
"""Channels below which torch's are slower by more than a call of an edge's only operation costs."""
SMALL = 2**14
"""Values of a map up to which calling operators takes longer than what they compute: few are then faster."""
MEDIUM = 2**16
"""Values of a map from which ``loop`` saves more than its many calls take; fewer count where it knows few."""
LARGE = 2**17
"""Values of a map from which a pool of ``native`` saves what the call of an edge's only operation costs."""


def fastest(graph: Graph, inputs: Sequence[Tensor], known: Mapping[int, Recipe]) -> str:
    """The executor for a cell; ``known``: which of its flows are declared to the last detail.

    ``native`` gains by depthwise convolutions everywhere, and by pools, BNs and narrow convolutions where an edge has
    several candidates, but not in cells of few operations. Where every edge has one, enough of them have to gain (see
    `_gain`). Elsewhere small maps want few operators, and depthwise convolutions on large ones are faster in ``loop``.
    """
    flows, values = graph.flows, inputs[0].numel()
    kinds = [recipe.kind for recipe in known.values()]
    depthwise = True in [kind.depthwise for kind in kinds]
    wide = max([kind.spatial for kind in kinds], default=0) >= WIDE
    crowded = len(flows) > len({flow.edge for flow in flows})
    enough = len(known) >= FEW and 2 * len(known) >= len(flows)
    gains = enough and (not wide if depthwise or crowded else _gain(graph, len(inputs), known, values))
    if gains and fits(inputs) and usage().has_native():
        return "native"
    if not crowded or wide:
        return "plain"
    if values <= SMALL and len(flows) >= MANY:
        return "batched"
    fused = values * len(known) / len(flows)
    return "loop" if depthwise and fused >= MEDIUM else "plain"


def _gain(graph: Graph, inputs: int, known: Mapping[int, Recipe], values: int) -> bool:
    """Whether enough single operations are faster in ``native``, of those that read a state which something fills."""
    gaining = [number for number, recipe in known.items() if _gains(recipe.kind, values)]
    if len(gaining) < FEW:
        return False
    flows, edges = graph.flows, graph.group.edges
    full = filled(graph.group, [flow.edge for flow in flows], inputs)
    return len([number for number in gaining if edges[flows[number].edge].source in full]) >= FEW


def _gains(kind: Kind, values: int) -> bool:
    """Pools on large maps, convolutions of one pixel on those that are not small, narrow ones of several on all."""
    if kind.convolves:
        return kind.spatial < NARROW and (kind.spatial > 0 or values >= SMALL)
    return kind.pool and values >= LARGE
