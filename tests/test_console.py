"""Tables on the terminal."""

from __future__ import annotations

import pytest

from archgrad.console import print_table


def test_a_table_aligns_numbers_right_and_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "value"], [["a", "1.00"], ["long name", "10.00"]])
    assert capsys.readouterr().out.splitlines() == ["name       value", "a           1.00", "long name  10.00"]
    print_table(["name"], [[long := "[b]" + 300 * "x"]])
    assert capsys.readouterr().out.splitlines()[1] == long, "and nothing in it is taken for a style"
