"""Options of the command line that are the parameters of a library function, so that nothing is written twice."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import reduce, wraps
from operator import or_
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from archgrad.errors import ArchgradError

SIMPLE = (str, int, float, bool, type(None))
"""What a person can type as it is."""


def option(name: str, kind: Any, default: Any = None) -> inspect.Parameter:
    """A parameter that has to be named."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def options_of(function: Callable[..., Any], leaving_out: Iterable[str] = ()) -> dict[str, inspect.Parameter]:
    """The parameters of a function that have to be named, by name, but for some.

    Of types such as ``str | Path`` what can be typed is kept.
    """
    hints, left_out = get_type_hints(function), set(leaving_out)
    return {
        name: option(name, _typed(hints[name]), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in left_out
    }


def some_of(function: Callable[..., Any], names: Iterable[str]) -> dict[str, inspect.Parameter]:
    """Those parameters of a function, as `options_of` gives them."""
    options = options_of(function)
    return {name: options[name] for name in names}


def _typed(hint: Any) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    simple = [kind for kind in kinds if kind in SIMPLE]
    return reduce(or_, simple) if simple else hint


def explained(text: str | None, options: Mapping[str, str]) -> str:
    """A command's docstring with more options at the end of its ``Args``.

    Without indentation, which Python 3.13 takes out of docstrings itself.
    """
    return "\n".join([inspect.cleandoc(text or ""), *(f"    {name}: {line}" for name, line in options.items())])


def require_absent(why: str, **given: object) -> None:
    """Refuse options that would be ignored, where they have a value; ``why``: how the sentence goes on."""
    for option, value in given.items():
        if value is not None and value is not False:
            raise ArchgradError(f"--{option} {why}")


def gathers(**groups: Mapping[str, inspect.Parameter]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command: options stand in the place of a parameter, which is given them as a dictionary by name.

    In the place of ``**parameter`` they are given as they are.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own, hints = inspect.signature(function).parameters, get_type_hints(function)

        def command(**given: Any) -> None:
            for group, options in groups.items():
                if own[group].kind is not inspect.Parameter.VAR_KEYWORD:
                    given[group] = {name: given.pop(name, o.default) for name, o in options.items()}
            function(**given)

        parameters: list[inspect.Parameter] = []
        for name, parameter in own.items():
            parameters += groups[name].values() if name in groups else [parameter.replace(annotation=hints[name])]
        command.__name__, command.__module__, command.__doc__ = function.__name__, function.__module__, function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return decorate


def without_null(function: Callable[..., None]) -> Callable[..., None]:
    """The command, which refuses ``null`` in the place of an option that needs a value: the parser lets it pass."""
    parameters, hints = inspect.signature(function).parameters, get_type_hints(function)

    @wraps(function)
    def command(**given: Any) -> None:
        for name, value in given.items():
            if value is None and parameters[name].default is not None and type(None) not in get_args(hints.get(name)):
                raise ArchgradError(f"--{name.rstrip('_')}: needs a value, and null is none")
        function(**given)

    return command
