"""What is said of mistakes in files: one line with the place, what would be right, and what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import Field

from archgrad.bench.protocol.document import Count, Document, validated
from archgrad.errors import ArchgradError


class Inner(Document):
    size: Count = Field(default=1, description="a size above 0")
    share: float = Field(default=0.5, strict=True, lt=1)
    kind: Literal["round", "square"] = "round"
    needed: str
    wanted: str


class Outer(Document):
    inner: Inner | None = None
    many: dict[str, Inner] = Field(default={})
    numbers: tuple[int, ...] = Field(default=(), description="a list of numbers")


@dataclass(frozen=True)
class Plain:
    lr: float
    epochs: int
    steps: tuple[float, ...] = ()
    fast: bool = False

    def __post_init__(self) -> None:
        if self.lr < 0:
            raise ArchgradError("lr must not be negative")


WHOLE = {"needed": "a", "wanted": "b"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"iner": {}}, "f: unknown key 'iner': did you mean 'inner' or 'numbers'? (known: inner, many, numbers)"),
        ({"inner": {**WHOLE, "siz": 1}}, "f: unknown setting of inner 'siz': did you mean 'size'"),
        ({"many": {"a": {**WHOLE, "knd": 1}}}, "f: unknown setting of many.a 'knd': did you mean 'kind'"),
        ({"many": {"a": {}, "b": {}}}, "f: many.a needs needed, wanted"),
        ({"inner": {**WHOLE, "size": 0}}, "f: inner.size must be a size above 0, got 0"),
        ({"inner": {**WHOLE, "size": "2"}}, "f: inner.size must be a size above 0, got '2', which is text"),
        ({"inner": {**WHOLE, "share": 1.5}}, "f: inner.share must be less than 1, got 1.5"),
        ({"inner": {**WHOLE, "kind": "squar"}}, "f: unknown value of inner.kind 'squar': did you mean 'square'"),
        ({"many": {"a": 3}}, "f: many.a must be a mapping, got 3"),
        ({"numbers": [1, "x"]}, "f: numbers must be a list of numbers, got [1, 'x']"),
        ([1], "f must be a mapping, got [1]"),
    ],
)
def test_a_mistake_in_a_model(given: Any, message: str) -> None:
    with pytest.raises(ArchgradError) as error:
        validated(Outer, given, "f")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_what_has_no_value_is_not_said() -> None:
    found = validated(Outer, {"inner": {**WHOLE, "size": None}, "many": None}, "f")
    assert found.inner is not None
    assert found.inner.size == 1
    assert found.model_dump(exclude_unset=True) == {"inner": WHOLE}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": 1, "epoch": 2}, "f: unknown key 'epoch': did you mean 'epochs'? (known: epochs, fast, lr, steps)"),
        ({"fast": True}, "f: missing: lr, epochs"),
        ({"lr": "1e-3", "epochs": 1}, "f: lr must be a number, got '1e-3', which is text: leave out quotes, and write"),
        ({"lr": True, "epochs": 1}, "f: lr must be a number, got True"),
        ({"lr": 1, "epochs": 1.5}, "f: epochs must be a whole number, got 1.5"),
        ({"lr": 1, "epochs": 1, "fast": "no"}, "f: fast must be true or false, got 'no'"),
        ({"lr": -1, "epochs": 1}, "f: lr must not be negative"),
    ],
)
def test_a_mistake_in_a_dataclass(given: Any, message: str) -> None:
    with pytest.raises(ArchgradError) as error:
        validated(Plain, given, "f")
    assert str(error.value).startswith(message)


def test_a_dataclass_from_plain_data() -> None:
    assert validated(Plain, {"lr": 1, "epochs": 2, "steps": (0.5, 1)}, "f") == Plain(1.0, 2, (0.5, 1.0))
