"""Plain data from JSON and YAML, neither of which runs code: as deep and as large as people write it, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from archgrad.errors import ArchgradError
from archgrad.foreign import files

DEPTH = 100
"""Mappings and lists within each other: whoever walks through plain data afterwards may do so by recursion."""

YAML = 4 << 20
"""Bytes of a YAML file: they are for settings."""

NODES = 200_000
"""Values in a YAML file, those that it repeats by aliases counted as often as they stand there."""


# JSON


def parsed_json(text: str | bytes, where: str) -> Any:
    """Plain data from JSON, or one line on why there is none; ``where``: what its beginning names."""
    try:
        found = json.loads(text)
    except RecursionError:
        raise ArchgradError(f"{where}: its data are nested more than {DEPTH} deep") from None
    except (ValueError, UnicodeError) as error:
        raise ArchgradError(f"{where}: not JSON ({_line(error)})") from None
    opened = text.count(b"{") + text.count(b"[") if isinstance(text, bytes) else text.count("{") + text.count("[")
    if opened > DEPTH:  # else it cannot be deeper, and the walk is spared
        require_shallow(found, where)
    return found


def json_object(text: str | bytes, where: str) -> dict[str, Any]:
    """A JSON object, or one line on why it is none."""
    found = parsed_json(text, where)
    if not isinstance(found, dict):
        raise ArchgradError(f"{where}: expected a JSON object, got {_kind(found)}")
    return found


def read_json(path: Path) -> Any:
    """Plain data from a JSON file; `files.MissingError` where there is none, ArchgradError for all else."""
    return parsed_json(files.text(path), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object."""
    return json_object(files.text(path), str(path))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines; what follows the last line break was torn by a kill and does not count."""
    found = []
    for number, line in enumerate(files.contents(path, files.TEXT).split(b"\n")[:-1], start=1):
        try:
            found.append(json_object(line, f"{path} line {number}"))
        except ArchgradError as error:
            raise ArchgradError(f"{error}: remove that line to go on") from None
    return found


def require_shallow(data: Any, where: str) -> None:
    """Refuse data that are nested too deep for those who walk through them by recursion."""
    level, depth = [data], 0
    while level := [part for value in level if isinstance(value, dict | list) for part in _parts(value)]:
        depth += 1
        if depth > DEPTH:
            raise ArchgradError(f"{where}: its data are nested more than {DEPTH} deep")


def _parts(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value)


# YAML


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
        raw = _loaded(text, where)
    except ArchgradError:
        raise
    except RecursionError:
        raise ArchgradError(f"{where}: its data are nested more than {DEPTH} deep") from None
    except Exception as error:  # PyYAML's own, and whatever a date or a number that is none makes Python raise
        raise ArchgradError(f"{where}: not YAML ({_line(error)})") from None
    if not isinstance(raw, dict):
        raise ArchgradError(f"{where}: expected a mapping, got {_kind(raw)}")
    return raw


def read(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping, or one line on why it does not."""
    return parsed(files.text(path, YAML), str(path))


def _loaded(text: str, where: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, where, {}, 0) > NODES:
            raise ArchgradError(f"{where}: more than {NODES:,} values, those repeated by aliases included")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: yaml.Node, where: str, known: dict[int, int], depth: int) -> int:
    """How many values a node is, each alias counted as what it stands for; ``known``: 0 for those being counted."""
    if depth > DEPTH:
        raise ArchgradError(f"{where}: its data are nested more than {DEPTH} deep")
    if (size := known.get(id(node))) is not None:
        if not size:
            raise ArchgradError(f"{where}: line {node.start_mark.line + 1}: an alias stands within what it names")
        return size
    known[id(node)] = 0
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    elif isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    known[id(node)] = size = 1 + sum(_size(part, where, known, depth + 1) for part in parts)
    return size


def _line(error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return reason if len(reason) <= 200 else f"{reason[:200]}…"


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
