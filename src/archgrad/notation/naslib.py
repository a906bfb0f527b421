"""Cells as numbers: pairs (input, operation), as NASLib and its surrogate benchmark NAS-Bench-301 write them."""

from __future__ import annotations

from typing import Any

from archgrad.errors import ArchgradError

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""In the order of the numbers, which is that of DARTS without ``none``; NNI counts them in the same order."""


def is_number(value: Any) -> bool:
    """Whether it is a whole number."""
    return type(value) is int


def is_pairs(cell: Any) -> bool:
    """Whether a cell is made of pairs of numbers."""
    pairs = isinstance(cell, list) and cell and all(isinstance(p, list) and len(p) == 2 for p in cell)
    return bool(pairs) and all(is_number(value) for pair in cell for value in pair)


def operation(number: int) -> str:
    """The operation of a number."""
    if not 0 <= number < len(OPERATIONS):
        raise ArchgradError(
            f"genotype: operation {number} is not one of 0 to {len(OPERATIONS) - 1}, NASLib's numbers of DARTS' "
            "operations without none"
        )
    return OPERATIONS[number]


def named(cell: list[list[int]]) -> list[list[Any]]:
    """The pairs (operation, input) of a cell of numbers."""
    return [[operation(number), source] for source, number in cell]
