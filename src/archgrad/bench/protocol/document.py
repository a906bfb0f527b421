"""Suites and campaigns as files: laid over each other, checked by models; mistakes are one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, reduce
from inspect import isabstract
from operator import getitem
from types import NoneType
from typing import Annotated, Any, TypeGuard, TypeVar, cast, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from archgrad.errors import ArchgradError, if_text, shown, unknown
from archgrad.foreign import code

NAME = r"[\w(+][\w.()+-]*"
"""Names of benchmarks and methods, which are names of directories too."""

DEFAULT = "default"
"""Beside benchmarks, subspaces and operation sets: what counts for all others."""

STRICT = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

Count = Annotated[int, Field(strict=True, ge=1)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Made = TypeVar("Made")


# Layers


def nested(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether a value is a mapping of settings, and no component."""
    return isinstance(value, Mapping) and "class_path" not in value


def overlaid(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, mapping by mapping; components, lists and numbers are replaced whole.

    Where ``over`` says something of some places only, what was said of all goes on to count elsewhere:

    >>> overlaid({"epochs": 5, "lr": {"wide": 1}}, {"epochs": {"wide": 2}, "lr": 3})
    {'epochs': {'default': 5, 'wide': 2}, 'lr': 3}
    """
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if not nested(value):
            result[key] = value
        elif nested(old):
            result[key] = overlaid(old, value)
        else:
            result[key] = value if old is None else {DEFAULT: old, **value}
    return result


# Checking


class Document(BaseModel):
    """A part of a file. What stands there without a value counts as not said; what is unknown is refused.

    The description of a field says what it must be, in the words of the message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        return {key: value for key, value in given.items() if value is not None} if isinstance(given, dict) else given


def validated(kind: type[Made], given: Any, where: str) -> Made:
    """A model, or any dataclass, from plain data. ``where``: the file, or the part of it, that a mistake stands in."""
    model = kind if issubclass(kind, BaseModel) else _model_of(cast(Any, kind))
    try:
        made = model.model_validate(given)
        return made if isinstance(made, kind) else kind(**{name: getattr(made, name) for name in made.model_fields_set})
    except ValidationError as error:
        raise _one_line(error, model, given, where) from None
    except ArchgradError as error:  # of the kind's own checks
        raise ArchgradError(f"{where}: {error}") from None


@cache
def _model_of(kind: Any) -> type[BaseModel]:
    """A model of the fields of a dataclass."""
    hints = get_type_hints(kind)
    optional = {field.name for field in fields(kind) if not (field.default is field.default_factory is MISSING)}
    named: dict[str, Any] = {name: (hint, None if name in optional else ...) for name, hint in hints.items()}
    return create_model(kind.__name__, __config__=STRICT, **named)


WANTED = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "dataclass_type", "dataclass_exact_type"), "a mapping"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    "bool_type": "true or false",
    "string_type": "text",
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than": "less than {lt:g}",
}
"""What pydantic's kinds of errors miss."""


def _one_line(error: ValidationError, kind: type, given: Any, where: str) -> ArchgradError:
    """The first mistake that pydantic found: where it is, what would be right, what is there."""
    errors = error.errors(include_url=False)
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    steps, field, known = _place(kind, first["loc"])
    place, parent = ".".join(steps), ".".join(steps[:-1])
    if first["type"] == "extra_forbidden":
        return ArchgradError(f"{where}: {unknown(f'setting of {parent}' if parent else 'key', steps[-1], known)}")
    if first["type"] == "missing":
        alike = [each["loc"] for each in errors if each["type"] == "missing"]
        names = [str(loc[-1]) for loc in alike if loc[:-1] == first["loc"][:-1]]
        return ArchgradError(f"{where}: {f'{parent} needs' if parent else 'missing:'} {', '.join(names)}")
    if first["type"] == "literal_error":
        return ArchgradError(f"{where}: {unknown(f'value of {place}', first['input'], get_args(field.annotation))}")
    value = first["input"] if len(steps) == len(first["loc"]) else reduce(getitem, steps, given)
    wanted = getattr(field, "description", None) or WANTED.get(first["type"], "").format(**first.get("ctx", {}))
    if not wanted:
        return ArchgradError(f"{where}: {place}: {first['msg']}")
    what = f"{where}: {place}" if place else where
    return ArchgradError(f"{what} must be {wanted}, got {shown(value)}{if_text(value)}")


def _place(kind: type | None, place: Sequence[str | int]) -> tuple[list[str], Any, Iterable[str]]:
    """A place as far as it leads through models: its steps, the last field on it, the names known at its end."""
    steps: list[str] = []
    field: Any = None
    for step in place:
        if kind is None:  # within plain data
            break
        steps.append(str(step))
        if step in _fields(kind):
            field = _fields(kind)[step]
            kind = _model_in(getattr(field, "annotation", None))
    return steps, field, _fields(kind)


def _fields(kind: type | None) -> dict[Any, Any]:
    return getattr(kind, "model_fields", {})


def _model_in(annotation: Any) -> type | None:
    """The model that a field, a mapping or a list holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)


def require_known(what: str, given: Any, known: Iterable[str]) -> None:
    """Refuse what is no mapping, and keys that are not known."""
    if not isinstance(given, Mapping):
        raise ArchgradError(f"{what} must be a mapping, got {shown(given)}")
    for key in given:
        if key not in known:
            raise unknown(f"setting of {what}", key, known)


# Code that files name


def component(item: Any, role: type) -> Any:
    """A component from ``{class_path: package.module.Class, init_args: {…}}``, as a run's settings record it.

    Arguments that are components themselves, such as the gradient that another one wraps, are written the same way.
    """
    if not isinstance(item, Mapping) or not str(item.get("class_path", "")).count("."):
        raise ArchgradError(
            f"{role.__name__}: expected {{class_path: package.module.Class, init_args: {{…}}}}, got {shown(item)}"
        )
    path, arguments = str(item["class_path"]), item.get("init_args") or {}
    code.require_trusted([path], role.__name__)
    made = code.imported(path, role.__name__)
    if not (isinstance(made, type) and issubclass(made, role)):  # nothing else of a suite's file is called
        raise ArchgradError(f"{path} is not a {role.__name__}")
    if not isinstance(arguments, Mapping):
        raise ArchgradError(f"{path}: init_args must be a mapping, got {arguments!r}")
    hints = _hints(made)
    inner = {name: _argument(value, hints.get(name), f"{path}: {name}") for name, value in arguments.items()}
    try:
        return validated(made, inner, path) if hints and is_dataclass(made) else made(**inner)
    except ArchgradError:
        raise
    except (TypeError, ValueError) as error:
        raise ArchgradError(f"{path}: {error}") from None


def _hints(made: type) -> dict[str, Any]:
    """The types of its fields; none where a user's annotations are for type checkers only."""
    try:
        return get_type_hints(made)
    except (NameError, TypeError):
        return {}


def _argument(value: Any, hint: Any, where: str) -> Any:
    """A value of a field, where the field's type says that it is a component made into one."""
    if isinstance(value, list):
        return tuple(_argument(each, hint, where) for each in value)
    kinds = [kind for kind in get_args(hint) or [hint] if isinstance(kind, type) and kind is not NoneType]
    own = [kind for kind in kinds if is_dataclass(kind) or isabstract(kind)]
    if value is None or not own or (len(own) < len(kinds) and not isinstance(value, Mapping)):
        return value
    try:
        return component(value, own[0])
    except ArchgradError as error:
        raise ArchgradError(f"{where}: {error}") from None
