"""Annealed numbers reach their ends in the first and the last epoch, whatever the number of epochs."""

from __future__ import annotations

import pytest

from archgrad.anneal import Anneal, value_at
from archgrad.context import Clock
from archgrad.errors import ArchgradError
from archgrad.gradient import Perturbed
from archgrad.modifiers import AuxiliarySkip, OperationAttention
from archgrad.relaxation import GumbelSoftmax, StraightThroughGumbel


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


def test_over_says_where_the_end_is_reached() -> None:
    halves = [Anneal(0.0, 1.0, over="length").at(Clock(epoch, 4)) for epoch in range(4)]
    assert halves == pytest.approx([0.0, 0.25, 0.5, 0.75])
    assert Anneal(0.0, 50.0, over=100).at(Clock(49, 50)) == pytest.approx(24.5)
    assert Anneal(0.0, 50.0, over=100).at(Clock(149, 150)) == 50.0, "and stays there"
    assert Anneal(1.0, 0.0, over="length").at(Clock(6, 5)) == 0.0, "while a finished search is tuned"
    for over in ("end", 0, True):
        with pytest.raises(ArchgradError, match="over must be 'last', 'length' or a number of epochs"):
            Anneal(1, 0, over=over)  # type: ignore[arg-type]


PUBLISHED: list[tuple[float | Anneal, dict[int, float]]] = [
    (Perturbed().epsilon, {0: 0.03, 1: 0.0354, 25: 0.165, 49: 0.2946}),  # SmoothDARTS
    (AuxiliarySkip().weight, {0: 1.0, 1: 0.98, 25: 0.5, 49: 0.02}),  # DARTS−
    (OperationAttention().weight, {0: 1.0, 25: 0.01}),  # confopt
    (StraightThroughGumbel().temperature, {0: 10.0, 49: 0.1}),  # GDAS divides by epochs − 1
]


@pytest.mark.parametrize(("number", "values"), PUBLISHED)
def test_components_change_over_fifty_epochs_as_published(number: float | Anneal, values: dict[int, float]) -> None:
    assert {epoch: value_at(number, Clock(epoch, 50)) for epoch in values} == pytest.approx(values)


def test_the_temperature_of_snas_falls_over_its_published_length() -> None:
    values = {epoch: 1 - 0.97 * (epoch + 1) / 150 for epoch in (0, 74, 149)}  # its command for 150 epochs
    found = {epoch: value_at(GumbelSoftmax().temperature, Clock(epoch, 150)) for epoch in values}
    assert found == pytest.approx(values)
