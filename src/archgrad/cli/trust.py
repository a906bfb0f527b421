"""The option ``--trust`` of every command that may meet the name of code in a file: in a configuration, or in a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, get_type_hints

from archgrad.foreign import code
from archgrad.options import explained, option


def with_trust(function: Callable[..., None]) -> Callable[..., None]:
    """The command with the option, if it takes data, which may be a function of the user's."""
    own = inspect.signature(function).parameters
    if "data" not in own:
        return function

    @wraps(function)
    def trusting(*, trust: bool = False, **given: Any) -> None:
        with code.trusting(trust):
            function(**given)

    trusting.__doc__ = explained(function.__doc__, {"trust": "import and run the code that files name"})
    trusting.__signature__ = inspect.Signature([*own.values(), option("trust", bool, False)])  # type: ignore[attr-defined]
    trusting.__annotations__ = {**get_type_hints(function), "trust": bool}
    return trusting
