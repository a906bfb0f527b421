"""Numbers in the words of people."""

from __future__ import annotations

from archgrad.figures.numbers import count, duration


def test_numbers_are_written_for_people() -> None:
    assert [count(n) for n in (999, 73_306, 1_073_466, 153_273_000, 9_999_999_999)] == (
        ["999", "73.3 k", "1.07 M", "153 M", "10.0 G"]
    )
    assert [duration(s) for s in (3.21, 42, 200, 3600, 90_061)] == ["3.2 s", "42 s", "3 min 20 s", "1 h", "1 d 1 h"]
