"""Suites and campaigns as plain data: read from YAML, checked, laid over each other."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from archgrad.errors import ArchgradError, unknown

NAME = r"[\w(+][\w.()+-]*"
"""Names of benchmarks and methods, which are names of directories too."""

DEFAULT = "default"
"""Beside benchmarks, subspaces and operation sets: what counts for all others."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which no key stands twice: the second would silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands there twice")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep)
        return made


def parsed(text: str, where: str) -> dict[str, Any]:
    """A mapping from YAML, or one line on why there is none."""
    try:
        raw = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ArchgradError(f"{where}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(raw, dict):
        raise ArchgradError(f"{where}: expected a mapping, got {type(raw).__name__}")
    return raw


def read(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping, or one line on why it does not."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ArchgradError(f"cannot read {path}: {reason}") from None
    return parsed(text, str(path))


def mapping(what: str, given: Any) -> dict[str, Any]:
    """A mapping, or one line that says what should have been one."""
    if not isinstance(given, Mapping):
        raise ArchgradError(f"{what} must be a mapping, got {given!r}")
    return dict(given)


def require_known(kind: str, given: Any, known: Iterable[str]) -> None:
    """Refuse what is no mapping, and keys that are not known."""
    if not isinstance(given, Mapping):
        raise ArchgradError(f"{kind}: expected a mapping, got {given!r}")
    for key in given:
        if key not in known:
            raise unknown(kind, key, known)


def imported(path: str) -> Any:
    """What ``package.module:name`` names."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ArchgradError(f"{path}: {error}") from None


def component(item: Any, role: type) -> Any:
    """A component from ``{class_path: package.module.Class, init_args: {…}}``, as a run's settings record it."""
    if not isinstance(item, Mapping) or not str(item.get("class_path", "")).count("."):
        raise ArchgradError(
            f"{role.__name__}: expected {{class_path: package.module.Class, init_args: {{…}}}}, got {item!r}"
        )
    module, _, name = str(item["class_path"]).rpartition(".")
    made = imported(f"{module}:{name}")
    if not (isinstance(made, type) and issubclass(made, role)):  # nothing else of a suite's file is called
        raise ArchgradError(f"{item['class_path']} is not a {role.__name__}")
    try:
        return made(**(item.get("init_args") or {}))
    except TypeError as error:
        raise ArchgradError(f"{item['class_path']}: {error}") from None


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
