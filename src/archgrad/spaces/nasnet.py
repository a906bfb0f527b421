"""Cells as NASNet, AmoebaNet and ENAS have them: five nodes read two states each, and what no node reads leaves."""

from __future__ import annotations

from dataclasses import dataclass

from archgrad.spaces.darts import Darts

OPERATIONS = (
    "skip_connect",
    "max_pool_3x3",
    "avg_pool_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "conv_7x1_1x7",
)
"""Those of the cells that NASNet, AmoebaNet and ENAS found, as DARTS' code builds them."""


@dataclass(frozen=True)
class NASNet(Darts):
    """Cells of five nodes with two inputs each, of which those leave that no other node reads; seven operations.

    Published cells also read one state twice. Those are written, read and built; drawn, counted and found by a search
    are only cells whose nodes read two different states. The supernet's cells concatenate all nodes.

    *Source:* Zoph et al., arXiv 1707.07012, appendix A; the code of DARTS, arXiv 1806.09055, for operations and stack.
    """

    name: str = "nasnet"
    candidates: tuple[str, ...] = OPERATIONS
    steps: int = 5
    multiplier: int = 5
    concat: str = "unread"
