"""Markup: nothing becomes code by being put into an element."""

from __future__ import annotations

import html

from hypothesis import given
from hypothesis import strategies as st

from archgrad.figures.markup import Markup, element, join


@given(st.text())
def test_text_and_attributes_are_escaped(text: str) -> None:
    shown = element("p", text, title=text)
    assert html.unescape(shown) == f'<p title="{text}">{text}</p>'
    assert (shown.count("<"), shown.count(">")) == (2, 2)


def test_markup_stays_and_lists_and_none_are_joined() -> None:
    assert join(element("b", 1), ["<", (None, Markup("<i></i>"))]) == "<b>1</b>&lt;<i></i>"


def test_attributes_cannot_be_left() -> None:
    assert element("a", title='"><script>') == '<a title="&quot;&gt;&lt;script&gt;"></a>'
