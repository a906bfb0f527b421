"""Scales and axes: numbers stand where they belong, between marks that are easy to read."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archgrad.figures.axes import Axes, Scale, of_rows, svg, ticks
from archgrad.figures.lines import Series, line_chart


@pytest.mark.parametrize("ends", [(0.0, 100.0), (100.0, 0.0), (-7.5, 3.0)])
@pytest.mark.parametrize("low", [-1000.0, 0.0, 0.93])
def test_a_scale_keeps_ends_and_proportions(low: float, ends: tuple[float, float]) -> None:
    scale = Scale(low, low + 8, *ends)
    assert [scale(low + x) for x in (0, 2, 4, 8)] == pytest.approx([np.interp(x, (0, 8), ends) for x in (0, 2, 4, 8)])


def test_axes_put_a_line_and_a_number_at_every_mark() -> None:
    axes = Axes(Scale(0, 10, 20, 120), Scale(0, 1, 90, 10))
    assert (axes.width, axes.height) == (100, 80)
    assert axes.at(5, 0.25) == (70, 70)
    assert axes.rows([0.25]) == [
        '<line x1="20" x2="120" y1="70" y2="70" class="grid"></line>',
        '<text x="14" y="74" class="tick end">0.25</text>',
    ]
    assert axes.columns([5]) == [
        '<line x1="70" x2="70" y1="10" y2="90" class="grid"></line>',
        '<text x="70" y="106" class="tick middle">5</text>',
    ]
    assert axes.line([(0, 0), (5, 0.25)]) == "M20.0 90.0 L70.0 70.0"


def test_rows_have_the_height_asked_for_and_room_for_the_longest_name() -> None:
    axes = of_rows(["a", "a_much_longer_name"], [0, 1], 300, row=24)
    assert axes.y(1.5) - axes.y(0.5) == 24
    assert axes.x.start > of_rows(["a", "b"], [0, 1], 300, row=24).x.start
    assert [re.search(">(.*)</text>", name)[1] for name in axes.names(["a", "b"])] == ["a", "b"]


def test_a_line_goes_through_its_values() -> None:
    chart = line_chart(
        "loss", [1, 2, 3], [Series("a", [0.0, None, 1.0], "series-a"), Series("b", [None, 0.5, None], "x")]
    )
    low, high = (float(y) for y in re.findall(r'<line x1="[^"]*" x2="[^"]*" y1="([^"]*)"[^>]*class="grid"', chart)[::2])
    assert re.search(r'd="M[\d.]+ ([\d.]+) L[\d.]+ ([\d.]+)"', chart).groups() == (f"{low:.1f}", f"{high:.1f}")
    assert f'cy="{(low + high) / 2:g}"' in chart, "a single value is a dot"
    assert svg("what it shows", "", 10, 20) in (
        '<svg viewBox="0 0 10 20" role="img" aria-label="what it shows" style="max-width:12px"></svg>',
    )


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_cover_the_range_in_equal_steps(low: float, span: float) -> None:
    marks = ticks(low, low + span)
    tolerance = 1e-6 * max(1.0, abs(low) + span)
    assert marks[0] <= low + tolerance
    assert marks[-1] >= low + span - tolerance
    assert 2 <= len(marks) <= 8


def test_equal_accuracies_of_one_have_no_tick_above_100_percent() -> None:
    assert max(ticks(1.0, 1.0)) == 1.0
    assert max(ticks(100.0, 100.0, 8)) == 100.0
