"""Options made of the parameters of functions, and the commands that gather them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from archgrad.options import explained, gathers, options_of


def measured(
    network: str, *, seed: int = 3, device: str | Path | None = None, sign: int | Path = 5, out: Path | None = None
) -> tuple[str, int, Any, Any]:
    """Stand for a function of the library."""
    return network, seed, device, sign


OPTIONS = options_of(measured, leaving_out=("out",))


def test_options_are_the_named_parameters_in_types_that_can_be_typed():
    assert [(name, o.annotation, o.default) for name, o in OPTIONS.items()] == [
        ("seed", int, 3),
        ("device", str | None, None),
        ("sign", int, 5),
    ]


def test_a_command_forwards_what_it_gathers():
    seen: list[Any] = []

    @gathers(settings=OPTIONS, fields=options_of(measured, ("seed", "device", "sign")))
    def command(run: str, *, settings: dict[str, Any], last: int = 1, **fields: Any) -> None:
        """Do it."""
        seen.append((*measured(run, **settings), last, fields))

    assert list(inspect.signature(command).parameters) == ["run", "seed", "device", "sign", "last", "out"]
    assert inspect.signature(command).parameters["run"].annotation is str
    assert (command.__name__, command.__doc__) == ("command", "Do it.")
    command(run="it", device="cpu", last=2, out="there")
    command(run="it")
    assert seen == [("it", 3, "cpu", 5, 2, {"out": "there"}), ("it", 3, None, 5, 1, {})]


def test_options_are_explained_in_docstrings_of_any_python() -> None:
    """Python 3.13 takes out the indentation."""

    def command(a: int) -> None:
        """Do it.

        Args:
            a: a number
        """

    expected = "Do it.\n\nArgs:\n    a: a number\n    b: another"
    for text in (command.__doc__, inspect.cleandoc(command.__doc__ or "")):
        assert explained(text, {"b": "another"}) == expected
