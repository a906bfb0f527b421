"""Markup: nothing becomes code by being put into an element."""

from __future__ import annotations

import html

from hypothesis import given
from hypothesis import strategies as st

from archgrad.report.charts import ticks
from archgrad.report.markup import Markup, element, join
from archgrad.report.section import count, duration


@given(st.text())
def test_text_and_attributes_are_escaped(text: str) -> None:
    shown = element("p", text, title=text)
    assert html.unescape(shown) == f'<p title="{text}">{text}</p>'
    assert (shown.count("<"), shown.count(">")) == (2, 2)


def test_markup_stays_and_lists_and_none_are_joined() -> None:
    assert join(element("b", 1), ["<", (None, Markup("<i></i>"))]) == "<b>1</b>&lt;<i></i>"


def test_attributes_cannot_be_left() -> None:
    assert element("a", title='"><script>') == '<a title="&quot;&gt;&lt;script&gt;"></a>'


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


def test_numbers_are_written_for_people() -> None:
    assert [count(n) for n in (999, 73_306, 1_073_466, 153_273_000, 9_999_999_999)] == (
        ["999", "73.3 k", "1.07 M", "153 M", "10.0 G"]
    )
    assert [duration(s) for s in (3.21, 42, 200, 3600, 90_061)] == ["3.2 s", "42 s", "3 min 20 s", "1 h", "1 d 1 h"]
