"""Annealed numbers reach their ends in the first and the last epoch, whatever the number of epochs."""

from __future__ import annotations

import pytest

from archgrad.anneal import Anneal
from archgrad.context import Clock
from archgrad.errors import ArchgradError


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
@pytest.mark.parametrize("epochs", [2, 5, 50])
def test_ends_and_direction(shape: str, epochs: int) -> None:
    values = [Anneal(8.0, 0.5, shape).at(Clock(epoch, epochs)) for epoch in range(epochs)]  # type: ignore[arg-type]
    assert values[0] == pytest.approx(8)
    assert values[-1] == pytest.approx(0.5)
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(("shape", "middle"), [("linear", 4.25), ("cosine", 4.25), ("exponential", 2.0)])
def test_middle(shape: str, middle: float) -> None:
    assert Anneal(8.0, 0.5, shape).at(Clock(2, 5)) == pytest.approx(middle)  # type: ignore[arg-type]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ArchgradError, match="shape must be"):
        Anneal(1, 0, "step")  # type: ignore[arg-type]
    with pytest.raises(ArchgradError, match="above 0"):
        Anneal(1, 0, "exponential")
